"""The images of a hierarchy: groups, plates, fields, labels, and which of them is wanted."""

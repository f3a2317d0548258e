"""What is wrong with a hierarchy, by the official schemas and by its own arrays."""

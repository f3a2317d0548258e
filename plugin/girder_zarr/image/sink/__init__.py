"""A new image: tiles in, in any order, and out as a file."""

"""Where patches lie, read from what microscopes and stitching programs write, or from names of files."""

"""What all floors need and no library has: caches, temporary folders, names of files."""

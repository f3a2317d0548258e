"""Needed on all floors, and in no library: caches and temporary folders with an owner."""

"""Stored bytes to the pixels of one chunk."""

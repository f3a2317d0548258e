"""Overlapping patches to blocks of one image."""

"""Positions of patches, read from files of microscopes and stitching programs, or from names of files."""

"""Formats of patches: the picture that a header announces, and its pixels."""

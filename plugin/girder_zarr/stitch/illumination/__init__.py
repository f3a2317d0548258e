"""Flat fields estimated from the patches themselves."""

"""Patches to pixels. Knows no Girder and no HTTP."""

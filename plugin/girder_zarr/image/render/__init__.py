"""Pixels as they are shown: tiles, regions, styles, histograms."""

"""The arrays and axes of one image, as series, levels and frames."""

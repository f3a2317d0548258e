"""TIFF and BigTIFF: directories, pages, segments, and which page is which plane."""

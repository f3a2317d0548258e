"""Where the bytes lie: one file, a zip, a database, objects, a web address, each as a zarr store."""

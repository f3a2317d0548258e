"""Stores of zarr keys: one file, a zip, a database, objects, a web address."""

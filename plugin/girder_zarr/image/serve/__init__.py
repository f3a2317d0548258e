"""Stored and made values as answers of a web server: ranges, validators, listings. Knows no Girder."""

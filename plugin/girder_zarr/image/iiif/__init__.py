"""Pictures and documents of IIIF (https://iiif.io/api/): Image API 3.0 and Presentation API 3.0."""

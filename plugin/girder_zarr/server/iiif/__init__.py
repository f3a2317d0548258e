"""Items and folders by IIIF: pictures and manifests by address, beside ``/zarr`` and with the same rights."""

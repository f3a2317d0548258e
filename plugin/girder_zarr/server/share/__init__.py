"""Images as OME-Zarr beside the REST API: ``/zarr/item``, ``/zarr/session`` and ``/zarr/k``."""

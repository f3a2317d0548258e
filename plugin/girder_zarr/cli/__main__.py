"""The command, as `python -m girder_zarr.cli`."""

from .command import main

if __name__ == '__main__':
    main()

"""The command, as `python -m girder_zarr.cli`."""

import sys

from .command import main

if __name__ == '__main__':
    sys.exit(main())

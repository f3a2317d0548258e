"""The process that makes a TIFF: it can be stopped at any moment, and its temporary files have a place.

`tiff.write_tiff` starts it. It ends with its standard input, so that it does not outlive whoever started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import numpy as np

from girder_zarr.errors import GirderZarrError
from girder_zarr.image.export.convert import convert_to


def main() -> int:
    """Convert as the JSON object in the first argument says; print a sentence on stderr where that fails."""
    said = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        convert_to(
            Path(said['target']),
            lambda path: os.replace(said['source'], path),  # noqa: PTH105 - Path.replace returns something
            dtype=np.dtype(said['dtype']),
            lossy=said['lossy'],
            overwrite=True,
            params=said['params'],
            georeference=(None, None),
            scratch=Path(said['scratch']),
        )
    except GirderZarrError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _end_with_input() -> None:
    # not through sys.stdin, whose lock the end of the interpreter waits for
    while os.read(0, 1024):
        pass
    os._exit(2)


if __name__ == '__main__':
    sys.exit(main())

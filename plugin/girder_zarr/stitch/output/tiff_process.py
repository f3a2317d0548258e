"""The process that converts to TIFF, started by `tiff_writer.write_tiff`.

It can be killed at any moment; its temporary files lie in a folder of its parent. It ends when its standard
input is closed, so that it does not outlive its parent.
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
    """Convert as the JSON object in the first argument requests; print the error on stderr if that fails.

    :returns: the exit code.
    """
    request = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        convert_to(
            Path(request['target']),
            lambda path: os.replace(request['source'], path),  # noqa: PTH105 - Path.replace returns something
            dtype=np.dtype(request['dtype']),
            lossy=request['lossy'],
            overwrite=True,
            params={**request['params'], 'exact': True},
            georeference=(None, None),
            scratch=Path(request['scratch']),
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

"""Free space of the disk: below a reserve Girder refuses files, so the supervisor warns at the start."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Megabytes that Girder's file system assetstores leave free.
RESERVE_SETTING = 'GIRDER_FILESYSTEMASSETSTORE_RESERVED_MBYTES'
DEFAULT_RESERVE_MBYTES = 10 * 1024.0


def reserve_of(environ: Mapping[str, str]) -> int:
    """Return how many bytes Girder leaves free; as Girder does it, with anything odd for the default."""
    try:
        mbytes = float(environ.get(RESERVE_SETTING, ''))
    except ValueError:
        mbytes = 0.0
    return int((mbytes if mbytes > 0 else DEFAULT_RESERVE_MBYTES) * 2**20)


def note_of_space(folder: Path, environ: Mapping[str, str]) -> str | None:
    """Return a warning for the user if Girder will refuse every file, None if there is enough space."""
    free, reserve = shutil.disk_usage(folder).free, reserve_of(environ)
    if free > reserve:
        return None
    return (
        f'Note: {folder} has {free / 2**30:.1f} GiB free. Girder keeps {reserve / 2**30:g} GiB free and '
        f'refuses every file until there is more; {RESERVE_SETTING}=512, for example, has it keep 512 MiB.'
    )

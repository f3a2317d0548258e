"""The progress bar of an upload."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def load_tqdm() -> Any:
    """Return the class of tqdm's progress bars, or None if tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm


@contextlib.contextmanager
def progress_bar(
    progress: bool | Callable[[str], None], total: int | None
) -> Iterator[Callable[[str], None]]:
    """Yield a function that is called with the outcome of each patch.

    :param progress: such a function; or whether to show a bar, if tqdm is installed and stderr is a terminal.
    :param total: the number of patches, if it is known.
    """
    if callable(progress):
        yield progress
        return
    tqdm = load_tqdm() if progress else None
    if tqdm is None:
        yield lambda _outcome: None
        return
    # disable=None: no bar where stderr is not a terminal.
    with tqdm(total=total, unit='patch', disable=None) as bar:
        yield lambda _outcome: bar.update() and None

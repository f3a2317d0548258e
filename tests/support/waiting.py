"""Waiting for a condition: no test sleeps for a fixed time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar('T')


def wait_until(condition: Callable[[], T], seconds: float = 30.0, what: str = 'the condition') -> T:
    """Return the first true result of `condition`; fail after `seconds`.

    The condition has to ask the browser itself where it is about one: routes and events of Playwright are
    handled while it is asked something, not while this sleeps.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f'waited {seconds:g} seconds for {what}'
        time.sleep(0.02)
    return result

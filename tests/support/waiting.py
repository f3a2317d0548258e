"""Waiting for a condition: no test sleeps for a fixed time."""

import time


def wait_until(condition, seconds=30.0, what='the condition'):
    """Return the first true result of `condition`; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f'waited {seconds:g} seconds for {what}'
        time.sleep(0.02)
    return result

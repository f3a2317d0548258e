"""Become a program that dies with its parent: ``python parent_death.py PARENT_PID PROGRAM ARGUMENT...``.

Runs as a file of its own with nothing but the standard library, so that it costs a few milliseconds. The
request to the kernel outlives ``exec``. Other systems than Linux have no such request; there only the
supervisor's own stop ends the program.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process as soon as the thread that started it has ended."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def main() -> None:
    """Replace this process by the program on the command line."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    die_with_parent()
    if os.getppid() != parent:
        sys.exit('The supervisor ended before this program started.')
    # The supervisor ignores or handles these itself; an ignored signal would be inherited.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(program[0], program)  # noqa: S606 - the program is the one the supervisor has chosen
    except OSError as error:
        sys.exit(f'{program[0]} cannot be run: {error}')


if __name__ == '__main__':
    main()

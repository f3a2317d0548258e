"""Run the tests that need Girder: those of one process beside each other, then those that start a stack.

``python tests/run.py [arguments of pytest]``. Paths among the arguments take the place of all others; other
arguments go to both runs, of which one may select nothing.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
#: What pytest answers when it selects no test.
NOTHING = 5
#: These have an environment without Girder, and `e2e` a run of its own.
ELSEWHERE = ('common', 'e2e', 'image', 'stitch')


def pytest(*arguments):
    """Return the exit code of a run of pytest."""
    return subprocess.run([sys.executable, '-m', 'pytest', *arguments], check=False).returncode


def has_path(arguments):
    """Whether one of the arguments names a file or folder."""
    return any(Path(argument.partition('::')[0]).exists() for argument in arguments)


def main(arguments):
    """Return the exit code for all that was run."""
    if has_path(arguments):
        return pytest(*arguments)
    ignored = [f'--ignore={HERE / name}' for name in ELSEWHERE]
    code = pytest('-n', '2', '--dist', 'loadfile', str(HERE), *ignored, *arguments)
    if code not in (0, NOTHING):
        return code
    last = pytest(str(HERE / 'e2e'), *arguments)
    return code if last == NOTHING else last


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

"""`girder-zarr serve | demo | stitch | info | validate`: the command line.

Each command imports its modules when it runs, so that ``--help`` is fast and a command needs only its own
extras. Exit codes: 0 success, 1 failure (one sentence on stderr), 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import stitch as cli_stitch
from . import validation
from .stitch import positive, print_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    :param arguments: without the name of the program; None: those of the process.
    :raises SystemExit: always.
    """
    options = build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    sys.exit(run(command, options))


def run(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a command and return its exit code; print the message of a `GirderZarrError` on stderr."""
    # errors.py imports large_image, which is slow: not before a command runs
    from girder_zarr.errors import GirderZarrError

    try:
        return command(options)
    except GirderZarrError as error:
        print(f'girder-zarr: {error}', file=sys.stderr)
    except BrokenPipeError:
        # The reader of our output has closed it, as `| head` does; nothing may be flushed into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print('girder-zarr: stopped.', file=sys.stderr)
        return 130
    return 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog='girder-zarr',
        description='OME-Zarr for Girder and large_image: read it, write it, stitch it from patches.',
    )
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    add_serve(commands)
    add_demo(commands)
    cli_stitch.add_parser(commands)
    add_info(commands)
    validation.add_parser(commands)
    return parser


def port_number(text: str) -> int:
    """Parse a port; 0 stands for any free one.

    :raises argparse.ArgumentTypeError: it is not a number from 0 to 65535.
    """
    if not text.isdecimal() or int(text) > 65535:
        msg = f'a port is a number from 0 (any free one) to 65535, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of `girder-zarr serve`."""
    parser = commands.add_parser(
        'serve', help='run Girder with this plugin, a database, a broker and a worker', description=SERVE_TEXT
    )
    parser.add_argument(
        '--data', type=Path, required=True, metavar='DIR', help='the folder for all data; made if missing'
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at (default %(default)s)')
    parser.add_argument(
        '--port', type=port_number, default=8080, help='port; 0 for any free one (default %(default)s)'
    )
    parser.add_argument(
        '--mongo-uri', metavar='URI', help='a MongoDB server instead of the embedded database'
    )
    parser.add_argument(
        '--broker', metavar='URL', help='a Redis, Valkey or RabbitMQ server instead of the embedded broker'
    )
    parser.add_argument(
        '--workers', type=positive, metavar='N', help='jobs at the same time (default: processors, at most 4)'
    )
    parser.add_argument('--reset-password', action='store_true', help='give the administrator a new password')
    parser.add_argument(
        '--no-restart',
        dest='restart',
        action='store_false',
        help='stop everything when a part ends by itself, instead of starting that part again',
    )
    parser.set_defaults(command=serve)


SERVE_TEXT = (
    'Runs until Ctrl-C or SIGTERM. The first start creates an administrator and prints the password, unless '
    'GIRDER_ZARR_ADMIN_LOGIN and GIRDER_ZARR_ADMIN_PASSWORD name them.'
)


def serve(options: argparse.Namespace) -> int:
    """Run the stack until a signal; return the exit code."""
    from girder_zarr.stack.options import Options
    from girder_zarr.stack.supervisor import Supervisor

    chosen = Options(
        data=options.data,
        host=options.host,
        port=options.port,
        mongo_uri=options.mongo_uri,
        broker=options.broker,
        workers=options.workers,
        reset_password=options.reset_password,
        restart=options.restart,
    )
    return Supervisor(chosen.checked(), print_line).run()


def add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of `girder-zarr demo`."""
    parser = commands.add_parser(
        'demo',
        help='run everything once on real pictures, then go on serving',
        description='Starts the stack, uploads an OME-Zarr, stitches pictures and compares every pixel.',
    )
    parser.add_argument(
        '--check', action='store_true', help='do the work in a temporary folder and exit with 0 or 1'
    )
    parser.add_argument('--data', type=Path, metavar='DIR', help='data folder (default ./demo-data)')
    parser.add_argument('--port', type=port_number, help='port (default 8080; with --check any free one)')
    parser.set_defaults(command=demo)


def demo(options: argparse.Namespace) -> int:
    """Run the stack and the demo against it; return the exit code."""
    from girder_zarr.stack.demo import run_demo

    return run_demo(check=options.check, data=options.data, port=options.port, print_line=print_line)


def add_info(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of `girder-zarr info`."""
    parser = commands.add_parser(
        'info', help='show what an OME-Zarr image is', description='Shows what an image is.'
    )
    parser.add_argument('path', metavar='PATH', help='an OME-Zarr: folder, zip, .ozx or address')
    parser.add_argument('--json', action='store_true', help="large_image's metadata as JSON")
    parser.set_defaults(command=info)


def info(options: argparse.Namespace) -> int:
    """Print the metadata of an image.

    :raises UnreadableImageError: it cannot be opened.
    """
    import json

    from girder_zarr import image

    source = image.open(options.path)
    metadata = source.getMetadata()
    if options.json:
        print_line(json.dumps(metadata, indent=2, default=str))
    else:
        for name, value in info_lines(metadata):
            print_line(f'{name:<12}{value}')
    return 0


def info_lines(metadata: dict[str, object]) -> list[tuple[str, object]]:
    """Return the name and value of each line of the table that `info` prints.

    :param metadata: of large_image, `getMetadata()`.
    """
    frames = metadata.get('frames')
    lines: list[tuple[str, object]] = [
        ('size', f'{metadata["sizeX"]} x {metadata["sizeY"]}'),
        ('tile', f'{metadata["tileWidth"]} x {metadata["tileHeight"]}'),
        ('levels', metadata['levels']),
        ('frames', len(frames) if isinstance(frames, list) else 1),
    ]
    axes = metadata.get('IndexRange')
    if isinstance(axes, dict):
        lines.append(
            ('axes', ', '.join(f'{name.removeprefix("Index").lower()} {size}' for name, size in axes.items()))
        )
    optional = (
        ('bandCount', 'bands'),
        ('dtype', 'dtype'),
        ('mm_x', 'mm_x'),
        ('mm_y', 'mm_y'),
        ('channels', 'channels'),
    )
    for key, name in optional:
        value = metadata.get(key)
        if value is not None:
            lines.append((name, ', '.join(map(str, value)) if isinstance(value, list) else value))
    return lines

"""`girder-zarr serve | demo | stitch | info`: the command line.

What a command needs is imported when it runs, so that ``--help`` is quick and each command needs only its
own extras.
Exit codes: 0 done, 1 it did not work (one sentence on stderr), 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from girder_client import GirderClient

    from .client import Patch


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    options = build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    sys.exit(run(command, options))


def run(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Return the exit code of a command; what goes wrong on purpose becomes one sentence on stderr."""
    # errors.py brings large_image in: wait with it until a command runs.
    from .errors import GirderZarrError

    try:
        return command(options)
    except GirderZarrError as error:
        print(f'girder-zarr: {error}', file=sys.stderr)
    except BrokenPipeError:
        # The reader of our output has gone, as with `| head`; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print('girder-zarr: stopped.', file=sys.stderr)
        return 130
    return 1


def say(line: str) -> None:
    """Print a line at once, whatever stdout is."""
    print(line, flush=True)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog='girder-zarr',
        description='OME-Zarr for Girder and large_image: read it, write it, stitch it from patches.',
    )
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    add_serve(commands)
    add_demo(commands)
    add_stitch(commands)
    add_info(commands)
    return parser


def port_number(text: str) -> int:
    """Return a port from the command line; 0 stands for any free one."""
    if not text.isdecimal() or int(text) > 65535:
        msg = f'a port is a number from 0 (any free one) to 65535, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def positive(text: str) -> int:
    """Return a number of one or more from the command line."""
    if not text.isdecimal() or int(text) < 1:
        msg = f'expected a whole number from 1, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe `girder-zarr serve`."""
    parser = commands.add_parser(
        'serve', help='run Girder with this plugin, a database, a broker and a worker', description=SERVE_TEXT
    )
    parser.add_argument(
        '--data', type=Path, required=True, metavar='DIR', help='where everything is kept; made if missing'
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at (default %(default)s)')
    parser.add_argument(
        '--port', type=port_number, default=8080, help='port; 0 for any free one (default %(default)s)'
    )
    parser.add_argument(
        '--mongo-uri', metavar='URI', help='a MongoDB server instead of the embedded database'
    )
    parser.add_argument(
        '--broker', metavar='URL', help='a Redis or Valkey server instead of the embedded broker'
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
    """Run the stack until a signal."""
    from .stack.options import Options
    from .stack.supervisor import Supervisor

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
    return Supervisor(chosen.checked(), say).run()


def add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe `girder-zarr demo`."""
    parser = commands.add_parser(
        'demo',
        help='run everything once on real pictures, then keep serving',
        description='Starts the stack, uploads an OME-Zarr, stitches pictures and compares every pixel.',
    )
    parser.add_argument(
        '--check', action='store_true', help='do the work in a temporary folder and exit with 0 or 1'
    )
    parser.add_argument('--data', type=Path, metavar='DIR', help='data folder (default ./demo-data)')
    parser.add_argument('--port', type=port_number, help='port (default 8080; with --check any free one)')
    parser.set_defaults(command=demo)


def demo(options: argparse.Namespace) -> int:
    """Run the stack and the demo's job against it."""
    from .stack.demo import run_demo

    return run_demo(check=options.check, data=options.data, port=options.port, say=say)


def add_stitch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe `girder-zarr stitch`."""
    parser = commands.add_parser(
        'stitch',
        help='upload patches to a Girder server and have them made into an image',
        description=(
            'POSITIONS is a csv file with a header line: the columns file, x and y, and where wanted order, '
            't, z, c and key. Files are taken relative to it. Run the same again with --session to resume.'
        ),
    )
    parser.add_argument('folder_id', metavar='FOLDER_ID', help="the Girder folder's id")
    parser.add_argument(
        'positions', type=Path, metavar='POSITIONS', help='csv file: file,x,y[,order,t,z,c,key]'
    )
    parser.add_argument(
        '--api-url',
        default=os.environ.get('GIRDER_API_URL', 'http://127.0.0.1:8080/api/v1'),
        help='address of the API (default GIRDER_API_URL, else %(default)s)',
    )
    parser.add_argument(
        '--api-key',
        default=os.environ.get('GIRDER_API_KEY'),
        help='an API key of yours (default GIRDER_API_KEY)',
    )
    parser.add_argument('--name', help='name of the image (default: of the csv file)')
    parser.add_argument('--spec', metavar='JSON', help='the spec of the session as JSON, see docs/rest.md')
    parser.add_argument('--session', metavar='ID', help='go on with this session')
    parser.add_argument(
        '--threads', type=positive, default=4, help='uploads at the same time (default %(default)s)'
    )
    parser.add_argument(
        '--timeout', type=positive, default=3600, help='seconds to wait for the image (default %(default)s)'
    )
    parser.add_argument('--force', action='store_true', help='finalize with fewer patches than expected')
    parser.add_argument('--quiet', action='store_true', help='no progress bar')
    parser.set_defaults(command=stitch)


def stitch(options: argparse.Namespace) -> int:
    """Upload patches, finalize and wait."""
    from .client import StitchClient

    spec = read_spec(options.spec)
    patches = read_positions(options.positions)
    client = StitchClient(sign_in(options.api_url, options.api_key))
    session_id = options.session
    if session_id is None:
        session_id = client.create(options.folder_id, options.name or options.positions.stem, spec)['_id']
        say(f'Session {session_id}; go on with --session {session_id} should this be interrupted.')
    if client.get(session_id)['state'] not in ('finalizing', 'complete'):
        outcomes = client.upload(session_id, patches, threads=options.threads, progress=not options.quiet)
        say(', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items())) + '.')
        client.finalize(session_id, force=options.force)
    say(client.item_url(client.wait(session_id, options.timeout)['itemId']))
    return 0


def read_positions(path: Path) -> list[Patch]:
    """Return the patches of a csv file: the columns file, x, y, and where wanted order, t, z, c and key.

    Files are relative to the csv file. The key is made of the file's name where it is not given.

    :raises InvalidInputError: a line is wrong or a file is missing; the message names the line.
    """
    import csv
    from collections import Counter

    from .errors import InvalidInputError

    try:
        with path.open(newline='', encoding='utf-8-sig') as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            missing = [name for name in ('file', 'x', 'y') if name not in (reader.fieldnames or [])]
            if missing:
                msg = (
                    f'{path} needs a header line with file, x and y; there is no {" and no ".join(missing)}.'
                )
                raise InvalidInputError(msg)
            patches = [read_line(path, reader.line_num, line) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f'{path} cannot be read as csv: {error}.'
        raise InvalidInputError(msg) from error
    twice = [key for key, count in Counter(patch.key for patch in patches).items() if count > 1]
    if twice:
        msg = f'{path} has more than one patch with the key {twice[0]}; add a column key.'
        raise InvalidInputError(msg)
    if not patches:
        msg = f'{path} has no patch.'
        raise InvalidInputError(msg)
    return patches


def read_line(path: Path, number: int, line: Mapping[str, str | None]) -> Patch:
    """Return the patch of one line of a csv file."""
    import re

    from .client import Patch
    from .errors import InvalidInputError

    numbers = {}
    for name in ('x', 'y', 'order', 't', 'z', 'c'):
        text = (line.get(name) or '').strip()
        if text:
            try:
                numbers[name] = int(text)
            except ValueError:
                msg = f'Line {number} of {path}: {name} has to be a whole number, not {text!r}.'
                raise InvalidInputError(msg) from None
        elif name in ('x', 'y'):
            msg = f'Line {number} of {path} has no {name}.'
            raise InvalidInputError(msg)
    name = (line.get('file') or '').strip()
    file = path.parent / name
    if not name or not file.is_file():
        msg = f'Line {number} of {path}: there is no file {str(file)!r}.'
        raise InvalidInputError(msg)
    key = (line.get('key') or '').strip() or re.sub(r'[^A-Za-z0-9._~,@=+-]+', '_', name)
    return Patch(key, file, **numbers)


def read_spec(text: str | None) -> dict[str, object] | None:
    """Return the spec of a session from the command line."""
    import json

    from .errors import InvalidInputError

    if text is None:
        return None
    try:
        spec = json.loads(text)
    except ValueError as error:
        msg = f'--spec has to be JSON: {error}.'
        raise InvalidInputError(msg) from error
    if not isinstance(spec, dict):
        msg = f'--spec has to be a JSON object, not {text}.'
        raise InvalidInputError(msg)
    return spec


def sign_in(api_url: str, api_key: str | None) -> GirderClient:
    """Return a client that is signed in.

    :raises InvalidInputError: there is no API key, or the server does not take it.
    """
    import requests
    from girder_client import GirderClient, HttpError

    from .errors import GirderZarrError, InvalidInputError

    if not api_key:
        msg = 'An API key is needed: --api-key, or GIRDER_API_KEY in the environment.'
        raise InvalidInputError(msg)
    client = GirderClient(apiUrl=api_url)
    try:
        client.authenticate(apiKey=api_key)
    except HttpError as error:
        msg = f'The server at {api_url} does not take the API key (status {error.status}).'
        raise InvalidInputError(msg) from error
    except (requests.RequestException, ValueError) as error:
        msg = f'There is no Girder at {api_url}.'
        raise GirderZarrError(msg) from error
    return client


def add_info(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe `girder-zarr info`."""
    parser = commands.add_parser(
        'info', help='show what an OME-Zarr image is', description='Shows what an image is.'
    )
    parser.add_argument('path', metavar='PATH', help='an OME-Zarr: folder, zip, .ozx or address')
    parser.add_argument('--json', action='store_true', help="large_image's metadata as JSON")
    parser.set_defaults(command=info)


def info(options: argparse.Namespace) -> int:
    """Print the metadata of an image."""
    import json

    from . import image

    source = image.open(options.path)
    metadata = source.getMetadata()
    if options.json:
        say(json.dumps(metadata, indent=2, default=str))
    else:
        for name, value in info_lines(metadata):
            say(f'{name:<12}{value}')
    return 0


def info_lines(metadata: dict[str, object]) -> list[tuple[str, object]]:
    """Return the name and value of each line of the table."""
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


if __name__ == '__main__':
    main()

"""`girder-zarr stitch`: patches from a table or a folder become an image in Girder."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from girder_client import GirderClient

    from girder_zarr.client import Patch, StitchClient

DESCRIPTION = (
    'SOURCE is a csv file with a header line: file, x and y (or row and column), and where wanted key, unit, '
    't, z, c, index, order, weight, mask, maskKey, shape, dtype, compression. Or it is a folder, with '
    '--pattern to read positions from names. The same command again goes on where a stopped one was.'
)


def positive(text: str) -> int:
    """Return a number of one or more from the command line."""
    if not text.isdecimal() or int(text) < 1:
        msg = f'expected a whole number from 1, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def pair(text: str) -> tuple[float, float]:
    """Return two numbers, ``x,y``, from the command line; one stands for both."""
    try:
        x, y = (float(part) for part in (text.split(',') * 2 if ',' not in text else text.split(',')))
    except ValueError:
        msg = f'expected a number, or two as x,y, not {text!r}'
        raise argparse.ArgumentTypeError(msg) from None
    return x, y


def overlap(text: str) -> tuple[float, float, bool]:
    """Return overlaps along x and y, and whether they are percents of a tile."""
    x, y = pair(text.removesuffix('%'))
    return x, y, text.endswith('%')


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        'stitch',
        help='upload patches to a Girder server and have them made into an image',
        description=DESCRIPTION,
    )
    add = parser.add_argument
    add('folder_id', metavar='FOLDER_ID', help="the Girder folder's id")
    add('source', type=Path, metavar='SOURCE', help='csv file, or folder with --pattern')
    add(
        '--pattern',
        help="form of the names in the folder: 'x{x}_y{y}.tif', 'r{row}_c{col}'; also {t}, {c}, {z} and *",
    )
    add(
        '--overlap',
        type=overlap,
        metavar='PIXELS',
        help='of neighbours, for rows and columns: pixels, x,y, or percents such as 10%% (default 0)',
    )
    add(
        '--api-url',
        default=os.environ.get('GIRDER_API_URL', 'http://127.0.0.1:8080/api/v1'),
        help='address of the API (default GIRDER_API_URL, else %(default)s)',
    )
    add(
        '--api-key',
        default=os.environ.get('GIRDER_API_KEY'),
        help='an API key of yours (default GIRDER_API_KEY)',
    )
    add('--name', help='name of the image (default: of the csv file or folder)')
    add_spec(parser.add_argument_group('what the image shall be; docs/rest.md has more'))
    add('--session', metavar='ID', help='go on with this session')
    add('--new', action='store_true', help='begin anew, even where a stopped run can be continued')
    add('--threads', type=positive, default=4, help='uploads at the same time (default %(default)s)')
    add('--timeout', type=positive, default=3600, help='seconds to wait for the image (default %(default)s)')
    add('--force', action='store_true', help='finalize with fewer patches than expected')
    add('--replace', action='store_true', help='replace patches that the session has otherwise')
    add('--quiet', action='store_true', help='no progress bar')
    parser.set_defaults(command=stitch)


def add_spec(group: Any) -> None:
    """Describe the options that become fields of the spec."""
    add = group.add_argument
    add('--spec', metavar='JSON', help='the spec of the session, as JSON or as the name of a JSON file')
    add('--blend', choices=('last', 'first', 'mean', 'max', 'min', 'feather'), help='where patches overlap')
    add('--output', choices=('zarr.zip', 'ozx', 'db', 'tiff'), help='kind of file')
    add('--pixel-size', type=pair, metavar='X[,Y]', help='of a pixel, in --unit')
    add('--unit', default='micrometer', help='of the pixel size (default %(default)s)')
    add('--channel-names', metavar='A,B', help='names of the channels')
    add('--background', type=float, help='value where there is no patch')
    add('--register', action='store_true', help='correct positions by what overlaps show')


def stitch(options: argparse.Namespace) -> int:
    """Upload patches, finalize and wait."""
    from girder_zarr.client import StitchClient

    patches = patches_of(options)
    spec = spec_of(options, patches)
    client = StitchClient(sign_in(options.api_url, options.api_key))
    name = options.name or options.source.resolve().stem
    memory = Memory(options, name, spec)
    session_id = options.session or (None if options.new else memory.session(client))
    if session_id is None:
        session_id = client.create(options.folder_id, name, spec)['_id']
        memory.keep(session_id)
        say(f'Session {session_id}; run the same again should this be interrupted.')
    elif options.session is None:
        say(f'Going on with session {session_id}.')
    if client.get(session_id)['state'] not in ('finalizing', 'complete'):
        outcomes = client.upload(
            session_id,
            patches,
            threads=options.threads,
            progress=not options.quiet,
            replace=options.replace,
        )
        say(', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items())) + '.')
        client.finalize(session_id, force=options.force)
    with job_bar(quiet=options.quiet) as told:
        session = client.wait(session_id, options.timeout, progress=told)
    memory.forget()
    say(client.item_url(session['itemId']))
    return 0


def say(line: str) -> None:
    """Print a line at once, whatever stdout is."""
    print(line, flush=True)


def patches_of(options: argparse.Namespace) -> list[Patch]:
    """Return the patches that the command line names.

    :raises InvalidInputError: they cannot be read, or a pattern is missing or too much.
    """
    from girder_zarr.client.positions import read_folder, read_positions
    from girder_zarr.errors import InvalidInputError

    if options.pattern is not None:
        return read_folder(options.source, options.pattern)
    if options.source.is_dir():
        form = "--pattern such as 'x{x}_y{y}.tif'"
        msg = f'{options.source} is a folder: expected {form}, to read positions from names; found none.'
        raise InvalidInputError(msg)
    return read_positions(options.source)


def spec_of(options: argparse.Namespace, patches: Sequence[Patch]) -> dict[str, Any]:
    """Return the spec of the session: that of ``--spec``, with what other options say.

    :raises InvalidInputError: it is not JSON, or the size of the tiles of a grid cannot be told.
    """
    spec = read_spec(options.spec)
    if options.pixel_size is not None:
        x, y = options.pixel_size
        spec['pixelSize'] = {'x': x, 'y': y, 'unit': options.unit}
    if options.channel_names is not None:
        spec['channelNames'] = [name.strip() for name in options.channel_names.split(',')]
    if options.background is not None:
        whole = options.background.is_integer()
        spec['background'] = int(options.background) if whole else options.background
    if options.register:
        spec.setdefault('registration', {})
    for field, value in (('overlap', options.blend), ('output', options.output)):
        if value is not None:
            spec[field] = value
    if 'grid' not in spec and (options.overlap is not None or any(one.row is not None for one in patches)):
        spec['grid'] = grid_of(patches[0], options.overlap or (0.0, 0.0, False))
    spec.setdefault('expected', len(patches))
    return spec


def read_spec(text: str | None) -> dict[str, Any]:
    """Return the spec of a session from the command line: JSON, or the name of a file of it.

    :raises InvalidInputError: it is neither.
    """
    from girder_zarr.errors import InvalidInputError

    if text is None:
        return {}
    if not text.lstrip().startswith(('{', '[')):
        try:
            text = Path(text).read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            msg = f'--spec: expected JSON or the name of a JSON file, found {text!r}: {error}.'
            raise InvalidInputError(msg) from error
    try:
        spec = json.loads(text)
    except ValueError as error:
        msg = f'--spec has to be JSON: {error}.'
        raise InvalidInputError(msg) from error
    if not isinstance(spec, dict):
        msg = f'--spec has to be a JSON object, not {text:.80}.'
        raise InvalidInputError(msg)
    return spec


def grid_of(patch: Patch, shared: tuple[float, float, bool]) -> dict[str, Any]:
    """Return ``spec.grid`` for tiles of the size of a patch.

    :param shared: overlap along x and y, and whether it is in percents.
    :raises InvalidInputError: the file cannot be read.
    """
    from girder_zarr.errors import GirderZarrError, InvalidInputError
    from girder_zarr.stitch.formats import registry as formats

    try:
        with Path(patch.data).open('rb') as stream:
            layout = formats.Layout.parse(patch.fields.get('shape'), patch.dtype, patch.compression)
            height, width, _ = formats.inspect(stream, layout=layout).shape
    except GirderZarrError as error:
        msg = f'The size of the tiles cannot be read from {patch.data}: {error}'
        raise InvalidInputError(msg) from error
    x, y, percent = shared
    if percent:
        x, y = x * width / 100, y * height / 100
    return {'tile': {'x': width, 'y': height}, 'overlap': {'x': x, 'y': y}}


class Memory:
    """Which session a command began, kept in a file until its image is complete.

    The file lies in ``$XDG_STATE_HOME/girder-zarr`` (``~/.local/state`` where that is not set) and is named
    after everything that makes two commands the same: server, folder, source, pattern, name and spec.
    """

    def __init__(self, options: argparse.Namespace, name: str, spec: dict[str, Any]) -> None:
        self._about = {
            'server': options.api_url.rstrip('/'),
            'folder': options.folder_id,
            'source': str(options.source.resolve()),
            'pattern': options.pattern,
            'name': name,
            # more patches than before are still the same image
            'spec': {field: value for field, value in spec.items() if field != 'expected'},
        }
        home = os.environ.get('XDG_STATE_HOME') or Path.home() / '.local' / 'state'
        known = hashlib.sha256(json.dumps(self._about, sort_keys=True).encode()).hexdigest()
        self._path = Path(home, 'girder-zarr', f'stitch-{known[:32]}.json')

    def session(self, client: StitchClient) -> str | None:
        """Return the session that the same command began, if it is still there."""
        from girder_zarr.errors import NotFoundError

        try:
            session_id = json.loads(self._path.read_text(encoding='utf-8'))['session']
            client.get(session_id)
        except (OSError, ValueError, KeyError, TypeError, NotFoundError):
            return None
        return str(session_id)

    def keep(self, session_id: str) -> None:
        """Write down which session has begun; where that cannot be done, say how to go on with it."""
        temporary = self._path.with_suffix(f'.{os.getpid()}.tmp')
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open('w', encoding='utf-8') as stream:
                json.dump({'session': session_id, **self._about}, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self._path)
        except OSError as error:
            print(
                f'girder-zarr: {self._path} cannot be written ({error.strerror}); should this be '
                f'interrupted, go on with --session {session_id}.',
                file=sys.stderr,
            )

    def forget(self) -> None:
        """Remove the file: the image is complete."""
        with contextlib.suppress(OSError):
            self._path.unlink()


@contextlib.contextmanager
def job_bar(*, quiet: bool) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Yield what shows the progress of the job, on a terminal."""
    from girder_zarr.client.progress_bar import load_tqdm

    tqdm = None if quiet else load_tqdm()
    if tqdm is None:
        yield None
        return
    # disable=None: no bar where stderr is not a terminal.
    with tqdm(unit='pixel', unit_scale=True, disable=None) as bar:

        def told(progress: dict[str, Any]) -> None:
            bar.total = progress['total'] or None
            bar.set_description_str(progress['message'][:60], refresh=False)
            bar.update(progress['current'] - bar.n)

        yield told


def sign_in(api_url: str, api_key: str | None) -> GirderClient:
    """Return a client that is signed in.

    :raises InvalidInputError: there is no API key, or the server does not take it.
    """
    import requests
    from girder_client import GirderClient, HttpError

    from girder_zarr.errors import GirderZarrError, InvalidInputError

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

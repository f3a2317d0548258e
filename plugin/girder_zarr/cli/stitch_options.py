"""The options of `girder-zarr stitch`, and the spec that they make."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

DESCRIPTION = (
    'SOURCE is what a microscope or stitching program wrote (docs/microscopes.md lists them): its position '
    'file, a TIFF with the positions of its pages, or the folder of them. Or it is a csv file with a header '
    'line: file, x and y (or row and column), and where wanted key, unit, t, z, c, page, index, order, '
    'weight, mask, maskKey, shape, dtype, compression, orientation. Or a folder whose file names give '
    'positions. '
    'The same command again goes on where a stopped one was.'
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


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser(
        'stitch',
        help='upload patches to a Girder server and have them made into an image',
        description=DESCRIPTION,
    )
    add = parser.add_argument
    add('folder_id', metavar='FOLDER_ID', help="the Girder folder's id")
    add('source', type=Path, metavar='SOURCE', help='position file, csv file, TIFF or folder')
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
    add_places(parser.add_argument_group('where patches lie'))
    add_spec(parser.add_argument_group('what the image shall be; docs/rest.md has more'))
    add('--dry-run', action='store_true', help='show and draw what would be made, and send nothing')
    add('--map', type=Path, metavar='FILE', help='draw the map of patches into this SVG file')
    add('--json', action='store_true', help='print everything as one JSON document')
    add('--session', metavar='ID', help='go on with this session')
    add('--new', action='store_true', help='begin anew, even where a stopped run can be continued')
    add('--threads', type=positive, default=4, help='uploads at the same time (default %(default)s)')
    add('--timeout', type=positive, default=3600, help='seconds to wait for the image (default %(default)s)')
    add('--force', action='store_true', help='finalize with fewer patches than expected')
    add('--replace', action='store_true', help='replace patches that the session has otherwise')
    add('--quiet', action='store_true', help='no progress bar')
    return parser


def add_places(group: Any) -> None:
    """Describe the options for the positions of patches."""
    add = group.add_argument
    add(
        '--pattern',
        help="form of the names in the folder: 'x{x}_y{y}.tif', 'r{row}_c{col}'; also {t}, {c}, {z}, "
        '{field}, {well}, {channel}, {order} and *',
    )
    add('--preset', help='the names in the folder are those of a program, such as metaxpress or harmony')
    add('--well', help='only this well of a plate (default: an image for each)')
    add(
        '--overlap',
        type=overlap,
        metavar='PIXELS',
        help='of neighbours, for rows and columns: pixels, x,y, or percents such as 10%% (default 0)',
    )
    add('--columns', type=positive, metavar='N', help='columns of the grid that numbered fields lie on')
    add('--rows', type=positive, metavar='N', help='rows of that grid')
    add('--path', choices=('raster', 'snake'), default='raster', help='of the stage over the grid')
    add('--by', choices=('rows', 'columns'), default='rows', help='whether it goes along rows or columns')
    add(
        '--corner',
        choices=('top-left', 'top-right', 'bottom-left', 'bottom-right'),
        default='top-left',
        help='where the path begins',
    )
    add('--flip-x', action='store_true', help='positions grow to the left')
    add('--flip-y', action='store_true', help='positions grow upwards')
    add('--swap-xy', action='store_true', help='x and y of positions change places, before they are flipped')
    add(
        '--rotate',
        type=int,
        choices=(0, 90, 180, 270),
        default=0,
        metavar='DEGREES',
        help='turn positions clockwise, last of all',
    )
    add(
        '--index-base',
        type=int,
        choices=(0,),
        help='0: numbers of channels, planes and times count from 0 (default: from the smallest)',
    )
    add(
        '--origin',
        choices=('corner', 'absolute'),
        help='the left upper corner: the smallest position (the default), or position 0, 0',
    )


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
    add('--flatten', action='store_true', help='estimate uneven light from the tiles, and take it out')


def spec_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the spec that the command line gives: that of ``--spec``, with the values of other options.

    :raises InvalidInputError: it is not JSON.
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
    if options.flatten:
        spec.setdefault('illumination', {})
    for field, value in (
        ('overlap', options.blend),
        ('output', options.output),
        ('origin', options.origin),
        ('indexBase', options.index_base),
    ):
        if value is not None:
            spec[field] = value
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

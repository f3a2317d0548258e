"""`girder-zarr validate`: what is wrong with an OME-Zarr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .stitch import print_line

if TYPE_CHECKING:
    import argparse

TEXT = (
    'Checks metadata by the official schemas, and arrays, labels, plates and wells against it. The exit code '
    'is 0 where nothing is wrong and 1 otherwise; hints are not errors. With --conformance it prints what '
    'the conformance suite of ome/ngff-spec reads, and the exit code is 0: ome_zarr_conformance.py zarr -- '
    'girder-zarr validate --conformance'
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of `girder-zarr validate`."""
    parser = commands.add_parser(
        'validate', help='say what is wrong with an OME-Zarr, by specification', description=TEXT
    )
    parser.add_argument(
        'path', metavar='PATH', help='an OME-Zarr: folder, zip, .ozx or address; or the attributes as .json'
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument('--json', action='store_true', help='errors and hints as JSON')
    form.add_argument(
        '--conformance', action='store_true', help='{"valid", "message"} for the official suite'
    )
    parser.set_defaults(command=validate)


def validate(options: argparse.Namespace) -> int:
    """Print the report on an image or a document; return the exit code.

    :raises MissingImageError: there is nothing. :raises UnreadableImageError: it is no zarr.
    """
    from girder_zarr.errors import MissingImageError, UnreadableImageError
    from girder_zarr.image.validate.hierarchy import is_document_alone, validate_alone
    from girder_zarr.image.validate.hierarchy import validate as check

    if options.conformance:
        try:
            # the suite's hierarchies are documents, without the arrays and groups that these name
            one = validate_alone if is_document_alone(options.path) else check
            found = one(options.path).to_conformance()
        except MissingImageError:
            raise
        except UnreadableImageError as error:
            found = {'valid': False, 'message': str(error)}
        print_line(json.dumps(found))
        return 0
    report = check(options.path)
    if options.json:
        print_line(json.dumps(report.to_json(), indent=2))
    else:
        for sentence in report.errors:
            print_line(f'error  {sentence}')
        for sentence in report.hints:
            print_line(f'hint   {sentence}')
        looked = f'{report.groups} groups, {report.arrays} arrays, {report.keys} keys'
        print_line(f'{"valid" if report.valid else "not valid"} ({looked} looked at)')
    return 0 if report.valid else 1

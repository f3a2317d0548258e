"""`girder-zarr stitch`: patches from a table or a folder become an image in Girder."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import stitch_options
from .resume import Memory
from .stitch_options import positive, spec_of
from .stitch_source import ImageWork, recognised_of, works_of

__all__ = ['Memory', 'add_parser', 'positive', 'print_line', 'spec_of', 'stitch']

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from girder_client import GirderClient

    from girder_zarr.client import StitchClient
    from girder_zarr.errors import GirderZarrError
    from girder_zarr.stitch.positions.recognise import Recognised


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    stitch_options.add_parser(commands).set_defaults(command=stitch)


@dataclass
class CommandOutput:
    """The output of the command: line by line, or as one JSON document at its end."""

    as_json: bool
    document: dict[str, Any] = field(default_factory=lambda: {'images': []})

    def print_line(self, line: str) -> None:
        """Print a line, unless the output is one JSON document."""
        if not self.as_json:
            print_line(line)

    def warn(self, line: str) -> None:
        """Print a warning, which is part of the document too."""
        self.document.setdefault('warnings', []).append(line)
        if not self.as_json:
            print(f'girder-zarr: {line}', file=sys.stderr, flush=True)

    def fail(self, error: GirderZarrError) -> None:
        """Put an error into the document."""
        self.document['error'] = str(error).partition('\n')[0]
        refusals = getattr(error, 'refusals', ())
        if refusals:
            self.document['refusals'] = [one.to_json() for one in refusals[:20]]
            self.document['refusalCount'] = len(refusals)

    def end(self) -> None:
        """Print the document."""
        if self.as_json:
            print_line(json.dumps(self.document, indent=1))


def stitch(options: argparse.Namespace) -> int:
    """Upload patches, finalize and wait; or with ``--dry-run`` only show what would be made."""
    from girder_zarr.errors import GirderZarrError

    report = CommandOutput(options.json)
    try:
        return _stitch(options, report)
    except GirderZarrError as error:
        report.fail(error)
        if not options.json:
            raise
        return 1
    finally:
        report.end()


def _stitch(options: argparse.Namespace, report: CommandOutput) -> int:
    name = options.name or options.source.resolve().stem
    given = spec_of(options)
    found = recognised_of(options)
    works = works_of(options, found, given, name)
    show(found, works, report, whole=options.dry_run, guessed=options.pattern is None)
    draw(options, works, report)
    if options.dry_run:
        return int(any(work.prepared.refusals for work in works))
    girder = sign_in(options.api_url, options.api_key)
    for work in works:
        work.prepared.check()
    from girder_zarr.client import StitchClient

    client = StitchClient(girder, api_key=options.api_key)
    for work in works:
        make(options, client, work, report)
    return 0


def show(
    found: Recognised, works: Sequence[ImageWork], report: CommandOutput, *, whole: bool, guessed: bool
) -> None:
    """Print where positions come from, and the image that they give.

    :param whole: print all facts, not only guesses and warnings.
    :param guessed: what the names were taken for was not said, so that it has to be seen.
    """
    report.document['program'] = found.positions.program
    if whole:
        report.print_line(f'Positions of {found.positions.program}: {found.source}')
    if found.guess is not None and (whole or guessed):
        lines = list(found.guess.lines())
        report.document['guess'] = lines
        for line in lines:
            report.print_line(line)
    for work in works:
        _show_image(work, report, prefix=f'{work.name}: ' if len(works) > 1 else '', whole=whole)


def _show_image(work: ImageWork, report: CommandOutput, *, prefix: str, whole: bool) -> None:
    from girder_zarr.stitch.arrange.map_drawing import describe
    from girder_zarr.stitch.arrange.refusal import listed

    prepared = work.prepared
    report.document['images'].append({'name': work.name, **prepared.to_json()})
    drawn = describe(prepared.placement_map) if whole and prepared.placement_map is not None else ()
    for line in (*drawn, *prepared.arranged.notes):
        report.print_line(prefix + line)
    for line in prepared.warnings:
        report.warn(prefix + line)
    if whole and prepared.refusals:
        for line in listed(prepared.refusals):
            report.print_line(line)


def draw(options: argparse.Namespace, works: Sequence[ImageWork], report: CommandOutput) -> None:
    """Draw the maps into files, where this is asked for or nothing is sent.

    :raises GirderZarrError: a file cannot be written.
    """
    from pathlib import Path

    from girder_zarr.errors import GirderZarrError
    from girder_zarr.stitch.arrange.map_drawing import draw as draw_map

    if options.map is None and not options.dry_run:
        return
    for work in works:
        if work.prepared.placement_map is None:
            continue
        path = options.map or Path(f'{work.name}-map.svg'.replace('/', '_'))
        if options.map is not None and len(works) > 1:
            path = path.with_name(f'{path.stem} {work.name}{path.suffix}')
        temporary = path.with_name(f'{path.name}.tmp')
        try:
            temporary.write_text(draw_map(work.prepared.placement_map, work.name), encoding='utf-8')
            temporary.replace(path)
        except OSError as error:
            msg = f'The map cannot be written to {path}: {error.strerror}.'
            raise GirderZarrError(msg) from error
        report.document.setdefault('maps', []).append(str(path))
        report.print_line(f'Map: {path}')


def make(options: argparse.Namespace, client: StitchClient, work: ImageWork, report: CommandOutput) -> None:
    """Upload the patches of one image, finalize and wait.

    :raises GirderZarrError: a request failed; a session created here is removed if it is empty.
    """
    from girder_zarr.client.positions import patches_of

    spec = work.prepared.spec
    patches = patches_of(work.positions, work.prepared.arranged.entries)
    memory = Memory(options, work.name, spec)
    session_id = options.session or (None if options.new else memory.session(client))
    is_new = session_id is None
    if session_id is None:
        session_id = client.create(options.folder_id, work.name, spec)['_id']
        memory.save(session_id)
        report.print_line(f'Session {session_id}; run the same again should this be interrupted.')
    elif options.session is None:
        report.print_line(f'Going on with session {session_id}.')
    outcome: dict[str, Any] = next(one for one in report.document['images'] if one['name'] == work.name)
    outcome['session'] = session_id
    try:
        if client.get(session_id)['state'] not in ('finalizing', 'complete'):
            counts = client.upload(
                session_id,
                patches,
                threads=options.threads,
                progress=not (options.quiet or options.json),
                replace=options.replace,
            )
            outcome['uploaded'] = dict(counts)
            report.print_line(
                ', '.join(f'{count} {status}' for status, count in sorted(counts.items())) + '.'
            )
            client.finalize(session_id, force=options.force)
        with job_bar(quiet=options.quiet or options.json) as on_progress:
            session = client.wait(session_id, options.timeout, progress=on_progress)
    except Exception:
        if is_new and remove_if_empty(client, session_id):
            memory.forget()
        raise
    memory.forget()
    outcome |= {'item': session['itemId'], 'url': client.item_url(session['itemId'])}
    report.print_line(outcome['url'])


def remove_if_empty(client: StitchClient, session_id: str) -> bool:
    """Remove a session without patches after an error; return whether it is gone."""
    from girder_zarr.errors import GirderZarrError

    with contextlib.suppress(GirderZarrError):
        session = client.get(session_id)
        if session['state'] != 'finalizing' and not session['counts']['patches']:
            client.delete(session_id)
            return True
    return False


def print_line(line: str) -> None:
    """Print a line and flush it, since stdout may be a pipe."""
    print(line, flush=True)


@contextlib.contextmanager
def job_bar(*, quiet: bool) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Yield a function that shows the progress of the job, or None without tqdm."""
    from girder_zarr.client.progress_bar import load_tqdm

    tqdm = None if quiet else load_tqdm()
    if tqdm is None:
        yield None
        return
    # disable=None: no bar where stderr is not a terminal.
    with tqdm(unit='pixel', unit_scale=True, disable=None) as bar:

        def on_progress(progress: dict[str, Any]) -> None:
            bar.total = progress['total'] or None
            bar.set_description_str(progress['message'][:60], refresh=False)
            bar.update(progress['current'] - bar.n)

        yield on_progress


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

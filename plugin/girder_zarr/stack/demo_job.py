"""The work of a user, over HTTP and with real pictures: upload an OME-Zarr, stitch patches, compare."""

from __future__ import annotations

import importlib.metadata
import io
import random
import shutil
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import requests
from girder_client import AuthenticationError, GirderClient, HttpError
from PIL import Image

from girder_zarr.client import Patch, StitchClient
from girder_zarr.errors import GirderZarrError

if TYPE_CHECKING:
    from collections.abc import Callable

UPLOADED = 'hubble_deep_field.jpg'
PLAIN = 'astronaut.png'
STITCHED = ('retina.jpg', 'ihc.png')
#: Side of a patch, and how far it reaches into the next one, in pixels.
PATCH, OVERLAP = 256, 32


@dataclass(frozen=True)
class Picture:
    """A picture that is now an item of Girder.

    :param name: the file that it was made from.
    :param item_id: the item.
    :param session_id: the stitch session, or None for an uploaded picture.
    """

    name: str
    item_id: str
    session_id: str | None = None


@dataclass(frozen=True)
class Results:
    """The images that the job leaves in Girder."""

    folder_id: str
    pictures: tuple[Picture, ...]


def run_job(
    url: str, login: str, password: str, *, scratch: Path, print_line: Callable[[str], None]
) -> Results:
    """Do the job as a user of the server at `url`.

    :param scratch: a folder for what is uploaded.
    :raises GirderZarrError: a step fails, or a pixel differs.
    """
    girder = GirderClient(apiUrl=f'{url}api/v1')
    try:
        with girder.session():
            girder.authenticate(login, password)
            folder_id = make_folder(girder)
            uploaded = upload_ome_zarr(girder, folder_id, scratch, print_line)
            plain = upload_plain(girder, folder_id, print_line)
            stitched = stitch_pictures(girder, folder_id, print_line)
    except AuthenticationError as error:
        msg = f'The server does not let {login} sign in with the password of this start.'
        raise GirderZarrError(msg) from error
    except (HttpError, requests.RequestException) as error:
        msg = f'The server answers with an error: {" ".join(str(error).split())}'
        raise GirderZarrError(msg) from error
    return Results(folder_id, (uploaded, plain, *stitched))


def make_folder(girder: GirderClient) -> str:
    """Return a new folder in the collection of the demo."""
    name = 'girder-zarr demo'
    collections = (one for one in girder.listCollection() if one['name'] == name)
    collection = next(collections, None) or girder.createCollection(name, public=True)
    stamp = time.strftime('%Y-%m-%d %H:%M:%S')
    folder = girder.createFolder(
        collection['_id'], stamp, parentType='collection', public=True, reuseExisting=True
    )
    return str(folder['_id'])


def read_picture(name: str) -> np.ndarray:
    """Return a picture that scikit-image carries, as (y, x, bands) of uint8."""
    return np.asarray(Image.open(path_of(name)).convert('RGB'))


def path_of(name: str) -> Path:
    """Return where scikit-image keeps a picture."""
    import skimage

    return Path(skimage.__file__).parent / 'data' / name


def upload_ome_zarr(
    girder: GirderClient, folder_id: str, scratch: Path, print_line: Callable[[str], None]
) -> Picture:
    """Upload a picture as an OME-Zarr that the ome-zarr library wrote, and see that Girder shows it."""
    picture = read_picture(UPLOADED)
    archive = write_ome_zarr(picture, scratch)
    item_id = str(girder.uploadFileToFolder(folder_id, str(archive))['itemId'])
    source = girder.getItem(item_id).get('largeImage', {}).get('sourceName')
    expect('the tile source of the uploaded OME-Zarr', source, 'zarr')
    metadata = girder.get(f'item/{item_id}/tiles')
    height, width = picture.shape[:2]
    for key, value in (('sizeX', width), ('sizeY', height), ('mm_x', 0.00025), ('mm_y', 0.00025)):
        expect(f'{key} of the uploaded OME-Zarr', metadata[key], value)
    compare(girder, item_id, picture, UPLOADED)
    writer = f'ome-zarr {importlib.metadata.version("ome-zarr")}'
    print_line(
        f'{archive.name}, written by {writer}: shown with source {source}, {width} x {height}, pixels equal.'
    )
    return Picture(UPLOADED, item_id)


def write_ome_zarr(picture: np.ndarray, scratch: Path) -> Path:
    """Return a zip with an OME-Zarr of the picture: channel, y, x, with a pyramid and a pixel size."""
    with warnings.catch_warnings():
        # ome-zarr deprecates a class of its own while it is imported.
        warnings.simplefilter('ignore')
        from ome_zarr.writer import write_image

    name = Path(UPLOADED).stem
    colors = {'Red': 'FF0000', 'Green': '00FF00', 'Blue': '0000FF'}
    window = {'min': 0, 'max': 255, 'start': 0, 'end': 255}
    channels = [
        {'label': label, 'color': color, 'window': window, 'active': True} for label, color in colors.items()
    ]
    target = scratch / f'{name}.ome.zarr'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        write_image(
            np.ascontiguousarray(np.moveaxis(picture, -1, 0)),
            str(target),
            name=name,
            axes='cyx',
            scale_factors=[2, 4],
            scale={'c': 1.0, 'y': 0.25, 'x': 0.25},
            axes_units={'y': 'micrometer', 'x': 'micrometer'},
            omero=as_omero(channels),
        )
    return Path(shutil.make_archive(str(target), 'zip', root_dir=scratch, base_dir=target.name))


def as_omero(channels: list[dict[str, Any]]) -> Any:
    """Return channels as ome-zarr takes them: a class of ome-zarr-models.

    Since 0.21 (Python 3.12 and later) it takes no dict. Before 0.17 (Python 3.11.0) it takes nothing else,
    and does without ome-zarr-models.
    """
    omero = {'channels': channels}
    try:
        from ome_zarr_models.common.omero import Omero
    except ImportError:
        return omero
    return Omero.model_validate(omero)


def upload_plain(girder: GirderClient, folder_id: str, print_line: Callable[[str], None]) -> Picture:
    """Upload an ordinary picture, which another tile source than ours has to open."""
    picture = read_picture(PLAIN)
    item_id = str(girder.uploadFileToFolder(folder_id, str(path_of(PLAIN)))['itemId'])
    # Girder makes large images of what a source ranks high by itself; of a PNG when it is asked to.
    if 'fileId' not in girder.getItem(item_id).get('largeImage', {}):
        girder.post(f'item/{item_id}/tiles')
    source = girder.getItem(item_id)['largeImage']['sourceName']
    expect('the tile source of the PNG', source, 'pil')
    compare(girder, item_id, picture, PLAIN)
    print_line(f'{PLAIN}, as it is: shown with source {source}, pixels equal.')
    return Picture(PLAIN, item_id)


def stitch_pictures(girder: GirderClient, folder_id: str, print_line: Callable[[str], None]) -> list[Picture]:
    """Upload the patches of each picture, let the server make images of them, and compare every pixel."""
    client = StitchClient(girder)
    sessions = {}
    for name in STITCHED:
        patches = cut(read_picture(name))
        # Any order must do; the same one each time makes a failure repeatable.
        random.Random(name).shuffle(patches)  # noqa: S311 - no secret
        session_id = client.create(folder_id, name, {'expected': len(patches)})['_id']
        outcomes = client.upload(session_id, patches, threads=4)
        expect(f'the number of patches of {name} that were stored', outcomes['created'], len(patches))
        client.finalize(session_id)
        sessions[name] = session_id
    pictures = []
    for name, session_id in sessions.items():
        session = client.wait(session_id, timeout=120)
        compare(girder, session['itemId'], read_picture(name), name)
        print_line(f'{name}: {session["counts"]["patches"]} patches in random order, stitched, pixels equal.')
        pictures.append(Picture(name, str(session['itemId']), session_id))
    return pictures


def cut(picture: np.ndarray) -> list[Patch]:
    """Return overlapping PNG patches that cover a picture."""
    height, width = picture.shape[:2]
    step = PATCH - OVERLAP
    patches = []
    for y in range(0, max(height - OVERLAP, 1), step):
        for x in range(0, max(width - OVERLAP, 1), step):
            buffer = io.BytesIO()
            Image.fromarray(picture[y : y + PATCH, x : x + PATCH]).save(buffer, 'PNG', compress_level=1)
            patches.append(Patch(f'y{y}_x{x}', buffer.getvalue(), x=x, y=y))
    return patches


def compare(girder: GirderClient, item_id: str, picture: np.ndarray, name: str) -> None:
    """Fetch an item at full resolution and compare it with the picture that it was made from.

    :raises GirderZarrError: shape or pixels differ.
    """
    answer = girder.get(f'item/{item_id}/tiles/region', {'encoding': 'PNG'}, jsonResp=False)
    pixels = np.asarray(Image.open(io.BytesIO(answer.content)).convert('RGB'))
    expect(f'the shape of {name} in Girder', pixels.shape, picture.shape)
    different = int(np.count_nonzero((pixels != picture).any(axis=-1)))
    if different:
        msg = f'{name} in Girder differs from its source in {different} of {picture[..., 0].size} pixels.'
        raise GirderZarrError(msg)


def expect(what: str, found: Any, wanted: Any) -> None:
    """Raise GirderZarrError where something is not as it should be."""
    if found != wanted:
        msg = f'Expected {wanted} for {what}, found {found}.'
        raise GirderZarrError(msg)

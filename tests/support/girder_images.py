"""Images of zarr directories, uploaded into Girder or imported."""

from __future__ import annotations

import io
import zipfile

import zarr
from girder.models.assetstore import Assetstore
from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.upload import Upload
from girder.utility.progress import noProgress


def multiscales(names, scale):
    axes = [{'name': name, 'type': {'c': 'channel', 'z': 'space'}.get(name, 'space')} for name in names]
    for axis in axes[-2:]:
        axis['unit'] = 'micrometer'
    factors = [
        {'type': 'scale', 'scale': [1] * (len(names) - 2) + [scale * 2**level] * 2} for level in range(2)
    ]
    datasets = [{'path': str(at), 'coordinateTransformations': [factor]} for at, factor in enumerate(factors)]
    return [{'axes': axes, 'datasets': datasets, 'name': 'test'}]


def write_zarr(folder, version, pixels, names):
    """Write two levels with zarr-python, and return the folder zipped."""
    v3 = version == '0.5'
    content = {'multiscales': multiscales(names, 0.5)}
    attributes = {'ome': {**content, 'version': '0.5'}} if v3 else content
    group = zarr.open_group(folder, mode='w', zarr_format=3 if v3 else 2, attributes=attributes)
    for level in range(2):
        data = pixels[..., :: 2**level, :: 2**level]
        chunks = (*[1] * (pixels.ndim - 2), 64, 64)
        options = {} if v3 else {'chunk_key_encoding': {'name': 'v2', 'separator': '/'}}
        group.create_array(str(level), data=data, chunks=chunks, **options)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for path in sorted(folder.rglob('*')):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return stream.getvalue()


def upload(folder, user, name, body):
    file = Upload().uploadFromFile(io.BytesIO(body), len(body), name, 'folder', folder, user)
    return Item().load(file['itemId'], force=True), file


def import_directory(path, parent, user, kind='folder', *, leaves=False, **params):
    Assetstore().importData(
        Assetstore().getCurrent(), parent=parent, parentType=kind,
        params={'importPath': str(path), **params}, progress=noProgress, user=user, leafFoldersAsItems=leaves,
    )  # fmt: skip


def upload_tree(path, parent, user, *, reverse=False):
    """Upload a directory as the web client does, folder by folder; return the folder."""
    made = Folder().createFolder(parent, path.name, creator=user)

    def walk(directory, into):
        entries = sorted(directory.iterdir(), reverse=reverse)
        for entry in entries:
            if entry.is_dir():
                walk(entry, Folder().createFolder(into, entry.name, creator=user))
            else:
                body = entry.read_bytes()
                Upload().uploadFromFile(io.BytesIO(body), len(body), entry.name, 'folder', into, user)

    walk(path, made)
    return made

"""The location of the image that a Girder file stands for: path, address, object or folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from girder.models.file import File

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.store.bytesource import FileBytes
from girder_zarr.image.store.stores import DirectoryStore
from girder_zarr.image.store.zarr_names import ROOT_KEYS
from girder_zarr.server.settings.polled import link_roots

from .file_bytes import local_path, open_bytes
from .folder_store import open_folder
from .s3_store import S3Hierarchy, bucket_of

if TYPE_CHECKING:
    from girder_zarr.image.store.bytesource import ByteSource
    from girder_zarr.image.store.keystore import KeyStore


def open_location(file: dict[str, Any]) -> str | ByteSource | KeyStore:
    """Return where the image lies that a file stands for: in the file, or around it.

    An assetstore keeps no suffixes, so that what a file is gets decided by its content. The metadata of a
    zarr root stands for its hierarchy: an imported one for the directory or the prefix that it lies in, an
    uploaded one for its Girder folder. A link stands for its address, which
    `girder_zarr.image.store.addresses` has to allow.

    :raises MissingImageError: there is no such file.
    :raises UnreadableImageError: the file is a part of another image.
    """
    link = file.get('linkUrl')
    if link:
        if not str(link).startswith(('http://', 'https://')):
            msg = f'{file["name"]} is a link to {link!r}; only http and https are followed.'
            raise UnreadableImageError(msg)
        return str(link)
    is_root = file['name'] in ROOT_KEYS
    path = local_path(file)
    if path is not None and (not is_root or Path(path).name in ROOT_KEYS):
        return _open_local(Path(path), file)
    if is_root:
        key = str(file.get('s3Key', ''))
        bucket = bucket_of(File().getAssetstoreAdapter(file))
        if bucket is not None and file.get('imported') and key.rpartition('/')[2] in ROOT_KEYS:
            return S3Hierarchy(
                bucket, key[: key.rfind('/') + 1], f'girder:{file["_id"]}:{file.get("updated")}'
            )
        return open_folder(file)
    return open_bytes(file)


def _open_local(path: Path, file: dict[str, Any]) -> ByteSource | KeyStore:
    """Return what lies at a path, by the name that users know: errors and metadata name what they are of."""
    if path.name in ROOT_KEYS:
        return DirectoryStore(path.parent, name=path.parent.name, link_roots=link_roots)
    return FileBytes(path, name=str(file['name']))

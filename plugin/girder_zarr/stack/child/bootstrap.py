"""What a new Girder needs before anybody can use it: an administrator, an assetstore, the worker's address.

Everything here looks first: a second start changes nothing.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path


def bootstrap(assetstore: Path, *, reset_password: bool = False) -> dict[str, Any]:
    """Make sure that Girder can be used.

    :param assetstore: the folder for files, used where Girder has no assetstore yet.
    :param reset_password: give the administrator a new password though there is one.
    :returns: ``login`` of the administrator; ``set``: whether the password was set just now; ``password``:
        the password where it was generated just now, else None.
    """
    ensure_assetstore(assetstore)
    ensure_worker_address()
    return ensure_administrator(reset_password=reset_password)


def ensure_administrator(*, reset_password: bool) -> dict[str, Any]:
    """Create an administrator where there is none; login and password may come from the environment."""
    from girder.models.user import User

    given = os.environ.pop('GIRDER_ZARR_ADMIN_PASSWORD', None)
    login = os.environ.pop('GIRDER_ZARR_ADMIN_LOGIN', 'admin').lower()
    password = given or secrets.token_urlsafe(12)
    model = User()
    existing = model.findOne({'admin': True, 'login': login}) or model.findOne(
        {'admin': True}, sort=[('created', 1)]
    )
    created = existing is None
    if existing is None:
        email = f'{login}@localhost.localdomain'
        model.createUser(login, password, 'Girder', 'Administrator', email, admin=True, public=False)
    else:
        login = existing['login']
        if reset_password:
            model.setPassword(existing, password)
    is_new = created or reset_password
    return {
        'login': login,
        'created': created,
        'password': password if is_new and given is None else None,
        'set': is_new,
    }


def ensure_assetstore(folder: Path) -> None:
    """Create a file system assetstore where there is none; let ours follow a data folder that was moved."""
    from girder.constants import AssetstoreType
    from girder.models.assetstore import Assetstore

    name = 'girder-zarr'
    model = Assetstore()
    ours = model.findOne({'name': name, 'type': AssetstoreType.FILESYSTEM})
    if ours is None and model.findOne({}) is None:
        model.createFilesystemAssetstore(name=name, root=str(folder))
    elif ours is not None and ours['root'] != str(folder) and folder.is_dir():
        ours['root'] = str(folder)
        model.save(ours)


def ensure_worker_address() -> None:
    """Tell jobs where this server is, unless an administrator has named another machine."""
    from girder.models.setting import Setting
    from girder_plugin_worker.constants import PluginSettings

    current, here = Setting().get(PluginSettings.API_URL), os.environ['GIRDER_WORKER_API_URL']
    if current != here and (not current or urlsplit(current).hostname in ('127.0.0.1', '::1', 'localhost')):
        Setting().set(PluginSettings.API_URL, here)

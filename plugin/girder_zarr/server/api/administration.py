"""An administrator's page asks for our settings and the use of sessions: ``/zarr/setting``, ``/zarr/use``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from girder.api import access
from girder.api.describe import Description, describeRoute
from girder.constants import TokenScope

from girder_zarr.common import budget, chunk_cache, read_ahead
from girder_zarr.image.limits import Limits
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.sessions import usage
from girder_zarr.server.settings import session_limits, viewers
from girder_zarr.server.settings.define import SettingKey
from girder_zarr.server.settings.job_settings import DEFAULT_VALUES
from girder_zarr.server.settings.polled import is_fixed_by_environment, stored_value, variable_of


def _defaults() -> dict[str, Any]:
    """Return what holds where a setting says nothing, by key."""
    return {
        SettingKey.STITCH_LIMITS: asdict(session_limits.DEFAULTS),
        SettingKey.STITCH_EXPIRES_HOURS: None,
        SettingKey.STITCH_PART_VALUES: DEFAULT_VALUES,
        SettingKey.ALLOWED_HOSTS: [],
        SettingKey.LINK_ROOTS: [],
        SettingKey.LIMITS: asdict(Limits()),
        SettingKey.SOURCE_PRIORITIES: {},
        SettingKey.STYLE_FUNCTIONS: [],
        SettingKey.VIEWERS: viewers.DEFAULT,
        SettingKey.MEMORY_BUDGET: budget.DEFAULT_BYTES,
        SettingKey.CHUNK_CACHE_BYTES: chunk_cache.DEFAULT_BYTES,
        SettingKey.READ_AHEAD: read_ahead.DEFAULT_CHUNKS,
    }


@access.admin(scope=TokenScope.SETTINGS_READ)
@describeRoute(
    Description('List the settings of girder_zarr with their values and defaults (administrators).')
    .notes('PUT /system/setting changes them, unless the environment variable that is named stands before.')
    .errorResponse('You are not an administrator.', 403)
)
def list_settings(params: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: ARG001 - Girder passes it
    """Answer ``GET /zarr/setting``."""
    return [
        {
            'key': key,
            'value': stored_value(key),
            'default': default,
            'variable': variable_of(key),
            'fixedByEnvironment': is_fixed_by_environment(key),
        }
        for key, default in _defaults().items()
    ]


@access.admin(scope=TokenScope.DATA_READ)
@describeRoute(
    Description('Say how many sessions there are, with how many patches and bytes, by user and state.')
    .notes('It may be as old as twenty times what it takes to count them.')
    .errorResponse('You are not an administrator.', 403)
)
@answers_errors
def list_use(params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - Girder passes it
    """Answer ``GET /zarr/use``."""
    return usage.usage()


def register(info: dict[str, Any]) -> None:
    """Add the routes to those of tile sources, which must be there. Called from the plugin's ``load``."""
    info['apiRoot'].zarr.route('GET', ('setting',), list_settings)
    info['apiRoot'].zarr.route('GET', ('use',), list_use)

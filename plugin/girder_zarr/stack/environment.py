"""The variables of the caller's environment that the parts of the stack inherit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Passed to Girder alone.
SECRETS = ('GIRDER_ZARR_ADMIN_PASSWORD', 'GIRDER_ZARR_ADMIN_LOGIN')
#: For `girder-zarr stitch`, which may talk to another server; no part needs them.
OTHER_SERVERS = ('GIRDER_API_KEY', 'GIRDER_API_URL')
#: Where one of these is set, a part would use another server, folder or address than the supervisor says.
#: What only configures Girder (GIRDER_SETTING_..., LARGE_IMAGE_..., how much is kept free) stays, and so does
#: PYTHONPATH: the parts import what the supervisor imports.
MISLEADING = (
    'DJANGO_SETTINGS_MODULE',  # Celery takes itself for a part of that project
    'FORKED_BY_MULTIPROCESSING',  # Celery takes its processes for the children of another worker
    'GIRDER_CONFIG',
    'GIRDER_HOST',
    'GIRDER_MONGO_REPLICA_SET',
    'GIRDER_MONGO_URI',
    'GIRDER_NOTIFICATION_REDIS_URL',
    'GIRDER_PORT',
    'GIRDER_SERVER_MODE',
    'GIRDER_SPHINX_BUILD',  # Girder does not read where its database is
    'GIRDER_SETTING_WORKER_API_URL',
    'GIRDER_STATIC_ROOT_DIR',
    'GIRDER_TEST_DB',  # wins over GIRDER_MONGO_URI
    'GIRDER_URL_ROOT',
)
#: Celery takes CELERY_BROKER_URL and CELERY_RESULT_BACKEND before what girder_worker says.
MISLEADING_PREFIXES = ('CELERY_', 'GIRDER_WORKER_', 'SECANTUS_')
LOOPBACK = ('127.0.0.1', '::1', 'localhost')


def inherited(environ: Mapping[str, str], host: str) -> dict[str, str]:
    """Return what the parts get of the caller's environment.

    :param host: the address that Girder listens at: no proxy can reach it for a part on the same machine.
    """
    dropped = {*SECRETS, *OTHER_SERVERS, *MISLEADING}
    passed = {
        name: value
        for name, value in environ.items()
        if name not in dropped and not name.startswith(MISLEADING_PREFIXES)
    }
    return passed | without_proxy(passed, host)


def without_proxy(environ: Mapping[str, str], host: str = '') -> dict[str, str]:
    """Return the variables that keep requests to this machine from a proxy, if a proxy is set at all."""
    names = ('http_proxy', 'https_proxy', 'all_proxy')
    if not any(environ.get(spelled) for name in names for spelled in (name, name.upper())):
        return {}
    # Programs differ in which of the two they read first: both get what either has.
    entries = f'{environ.get("no_proxy", "")},{environ.get("NO_PROXY", "")}'.split(',')
    excluded = [entry.strip() for entry in entries if entry.strip()]
    if '*' in excluded:
        value = '*'
    else:
        own = (*LOOPBACK, host) if host not in ('', '0.0.0.0', '::') else LOOPBACK  # noqa: S104 - compared
        value = ','.join(dict.fromkeys([*excluded, *own]))
    return {'no_proxy': value, 'NO_PROXY': value}

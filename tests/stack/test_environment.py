"""What the parts of the stack get of the caller's environment."""

import importlib.util
import re
from pathlib import Path

import pytest

from girder_zarr.stack.environment import inherited, without_proxy


@pytest.mark.parametrize(
    'name',
    [
        'CELERY_BROKER_URL',
        'CELERY_CONFIG_MODULE',
        'CELERY_RESULT_BACKEND',
        'DJANGO_SETTINGS_MODULE',
        'FORKED_BY_MULTIPROCESSING',
        'GIRDER_API_KEY',
        'GIRDER_MONGO_URI',
        'GIRDER_SETTING_WORKER_API_URL',
        'GIRDER_SPHINX_BUILD',
        'GIRDER_TEST_DB',
        'GIRDER_URL_ROOT',
        'GIRDER_WORKER_BROKER',
        'GIRDER_ZARR_ADMIN_PASSWORD',
        'SECANTUS_CHECKPOINT_SECONDS',
    ],
)
def test_what_leads_a_part_elsewhere_is_dropped(name):
    assert inherited({name: 'elsewhere', 'PATH': '/bin'}, '127.0.0.1') == {'PATH': '/bin'}


@pytest.mark.parametrize(
    'name',
    [
        'AWS_PROFILE',
        'GIRDER_FILESYSTEMASSETSTORE_RESERVED_MBYTES',
        'GIRDER_SETTING_CORE_EMAIL_HOST',
        'GIRDER_ZARR_CHROMIUM',
        'HOME',
        'LARGE_IMAGE_CACHE_BACKEND',
        'PYTHONPATH',
    ],
)
def test_what_configures_a_part_is_kept(name):
    assert inherited({name: 'as it is'}, '127.0.0.1') == {name: 'as it is'}


def test_no_proxy_comes_between_the_parts():
    environ = {'HTTP_PROXY': 'http://proxy:3128', 'no_proxy': 'intranet', 'NO_PROXY': 'intranet, other'}
    kept = inherited(environ, '192.0.2.7')
    assert kept['no_proxy'] == kept['NO_PROXY'] == 'intranet,other,127.0.0.1,::1,localhost,192.0.2.7'
    assert kept['HTTP_PROXY'] == 'http://proxy:3128'
    none = {'no_proxy': '*', 'NO_PROXY': '*'}
    assert without_proxy({'https_proxy': 'http://proxy', 'no_proxy': '*'}) == none
    assert '0.0.0.0' not in without_proxy({'all_proxy': 'http://proxy'}, '0.0.0.0')['no_proxy']
    assert without_proxy({'no_proxy': 'intranet'}) == {}


#: Variables by which the programs of the stack find servers, folders and other processes.
LEADING = re.compile(
    r"""(?:environ(?:\.get\(|\[|\.pop\()|getenv\()\s*['"]([A-Z0-9_]*(?:URL|URI|HOST|PORT|BROKER|BACKEND|ROOT|MODE|DB|"""
    r"""CONFIG|SETTINGS_MODULE|LOADER|CONFIG_MODULE|REPLICA_SET)[A-Z0-9_]*)['"]"""
)
#: What is of that kind and stays: why.
STAYS = {
    'GIRDER_WORKER_HOST': 'of docker runs alone',
    'HTTP_HOST': 'of a request',
    'SERVER_PORT': 'of a request',
    'REMOTE_PORT': 'of a request',
    'HTTP_X_FORWARDED_HOST': 'of a request',
}


def test_what_girder_reads_of_servers_is_dropped():
    """Variables of Girder and its worker that name a server, a port or a folder, found in their code."""
    read = set()
    for package in ('girder', 'girder_worker', 'girder_plugin_worker', 'girder_jobs'):
        spec = importlib.util.find_spec(package)
        for path in Path(spec.origin).parent.rglob('*.py'):
            read |= set(LEADING.findall(path.read_text(encoding='utf-8')))
    assert {'GIRDER_MONGO_URI', 'GIRDER_PORT', 'GIRDER_WORKER_BROKER'} <= read
    left = inherited(dict.fromkeys(read, 'elsewhere'), '127.0.0.1')
    assert set(left) <= set(STAYS), left

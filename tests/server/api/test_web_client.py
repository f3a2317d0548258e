"""The web client as the server offers it to Girder's pages."""

import gzip
import logging
import re
from collections import OrderedDict
from unittest.mock import Mock

import girder.plugin
import pytest

from girder_zarr.server import web_client


@pytest.fixture
def offered(monkeypatch):
    content = OrderedDict()
    monkeypatch.setattr(girder.plugin, '_pluginStaticContent', content)
    return content


def test_a_built_client_is_offered(offered, monkeypatch, tmp_path):
    for name in (web_client.STYLE, web_client.SCRIPT):
        (tmp_path / name).write_text('built')
    monkeypatch.setattr(web_client, 'DIST', tmp_path)
    tree = Mock()
    web_client.register({'serverRoot': tree})
    assert tree.mount.call_args.args[1] == '/plugin_static/zarr'
    assert offered['zarr'].css[0].startswith('plugin_static/zarr/style.css?h=')
    assert offered['zarr'].js[0].startswith('plugin_static/zarr/girder-plugin-zarr.umd.cjs?h=')


def test_a_tree_without_a_built_client_still_serves(offered, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(web_client, 'DIST', tmp_path)
    tree = Mock()
    with caplog.at_level(logging.WARNING):
        web_client.register({'serverRoot': tree})
    assert not offered
    tree.mount.assert_not_called()
    assert 'npm ci && npm run build' in caplog.text


def loaded_with(module):
    """Return a module of a page and all that it imports."""
    found, waiting = set(), [module]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [
                path.parent / name for name in re.findall(r'(?:from|import)"\./([^"]+)"', path.read_text())
            ]
    return found


def compressed(paths):
    return sum(len(gzip.compress(path.read_bytes())) for path in paths)


def test_pages_load_little():
    dist = web_client.DIST
    if not (dist / web_client.SCRIPT).is_file():
        pytest.skip('the web client is not built')
    always = {dist / web_client.SCRIPT, dist / web_client.STYLE}
    (folder,) = (dist / 'pages').glob('folder-*.js')
    modules = loaded_with(folder)
    assert len(modules) > 1
    assert compressed(always | modules) < 20_000
    code = {path for path in dist.rglob('*') if path.suffix in ('.js', '.cjs', '.css')}
    assert compressed(code) < 150_000

"""The web client as the server offers it to Girder's pages."""

import logging
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

"""Girder's web client as a browser gets it: compressed, and nothing from elsewhere."""

import gzip
import re

import pytest
import requests


def fetch(stack, path, **headers):
    """Return an answer with its bytes as they were sent."""
    headers = {'Accept-Encoding': 'gzip', **headers}
    with requests.get(f'{stack.url}{path}', headers=headers, stream=True, timeout=30) as answer:
        assert answer.ok, (path, answer.status_code)
        return answer, answer.raw.read(decode_content=False)


@pytest.fixture(scope='module')
def pages(stack):
    """Girder's page, and the addresses of the scripts and styles that it and the plugins load."""
    _, body = fetch(stack, '')
    page = gzip.decompress(body).decode()
    static = requests.get(f'{stack.url}api/v1/system/plugin_static_files', timeout=30).json()
    own = re.findall(r'(?:src|href)="\.?/?([^"]+\.(?:js|css))"', page)
    return page, [*own, *static['js'], *static['css']]


def test_scripts_and_styles_are_compressed_and_the_same(stack, pages):
    _, addresses = pages
    assert any('geojs.js' in address for address in addresses), 'the viewer comes from this server'
    sent = whole = 0
    for address in addresses:
        answer, packed = fetch(stack, address)
        assert answer.headers['Content-Encoding'] == 'gzip', address
        assert 'Accept-Encoding' in answer.headers['Vary']
        plain, body = fetch(stack, address, **{'Accept-Encoding': 'identity'})
        assert 'Content-Encoding' not in plain.headers
        assert gzip.decompress(packed) == body
        sent, whole = sent + len(packed), whole + len(body)
    assert sent < whole / 3, (sent, whole)


def test_nothing_of_the_page_comes_from_another_host(pages):
    page, addresses = pages
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert not [address for address in addresses if '//' in address]


def test_ranges_and_answers_of_the_api_are_not_compressed(stack, pages):
    _, addresses = pages
    script = next(address for address in addresses if address.endswith('.js') or '.js?' in address)
    answer, body = fetch(stack, script, Range='bytes=10-99')
    assert (answer.status_code, len(body)) == (206, 90)
    assert 'Content-Encoding' not in answer.headers
    answer, body = fetch(stack, 'api/v1/system/plugin_static_files')
    assert 'Content-Encoding' not in answer.headers
    assert int(answer.headers['Content-Length']) == len(body)

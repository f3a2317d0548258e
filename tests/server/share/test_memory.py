"""Values far larger than the memory, and readers far slower than the server."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from girder_zarr.image.store.entries import BLOCK_BYTES

pytestmark = pytest.mark.plugin('zarr')
READERS, HUGE = 200, 10 * 2**30


def peak_bytes():
    """The most memory that this process had since `forget_peak`."""
    return 1024 * int(re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text())[1])


def forget_peak():
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        pytest.skip('the system does not let a process measure its peak')


def test_slow_readers_of_a_value_of_10_gb(web, owner, make_image, tmp_path):
    """Each holds two blocks at most: one on its way, and one that waits for it."""
    image = make_image('directory')
    with (tmp_path / 'image.zarr' / 'huge').open('wb') as sparse:
        sparse.truncate(HUGE)
    ((name, token),) = owner.items()
    request = f'GET {image.path}/huge HTTP/1.1\r\nHost: x\r\n{name}: {token}\r\n\r\n'.encode()
    place = urlsplit(web.address)
    assert web.ask(f'{image.path}/huge', 'HEAD', owner).headers['content-length'] == str(HUGE)
    forget_peak()
    before, connections = peak_bytes(), []
    for _ in range(READERS):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((place.hostname, place.port))
        connection.sendall(request)
        connections.append(connection)
    for _ in range(20):
        for connection in connections:
            assert connection.recv(4096)
    assert peak_bytes() - before < 2 * READERS * BLOCK_BYTES + 64 * 2**20
    for connection in connections:
        connection.close()
    assert web.ask(f'{image.path}/huge', headers={**owner, 'Range': 'bytes=-5'}).body == bytes(5)

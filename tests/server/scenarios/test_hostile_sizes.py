"""Bodies that would become large: bombs of every format, sizes that are not true, thousands of parts."""

import gzip
import io
import struct
import tarfile
import zlib

import numpy as np
import pytest
from girder.models.setting import Setting
from numcodecs import Zstd
from PIL import Image

from girder_zarr.server.settings.define import SettingKey
from support.server import check_answer, npy

pytestmark = pytest.mark.plugin('zarr')
BIG = 10**7


def png_bomb():
    """A PNG whose header says 40 000 x 40 000 and whose pixels are a few bytes of zlib."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', 40_000, 40_000, 8, 2, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(bytes(10**6)))
        + chunk(b'IEND', b'')
    )


def tiff_bomb():
    stream = io.BytesIO()
    Image.new('L', (16, 16)).save(stream, 'TIFF')
    data = bytearray(stream.getvalue())
    at = data.index(struct.pack('<HHI', 256, 4, 1)) if struct.pack('<HHI', 256, 4, 1) in data else None
    for tag in (256, 257):
        for kind in (3, 4):
            at = data.find(struct.pack('<HHI', tag, kind, 1))
            if at >= 0:
                data[at : at + 12] = struct.pack('<HHII', tag, 4, 1, 2**31 - 1)
    return bytes(data)


BOMBS = {
    'png': (png_bomb(), {}, {413, 415}),
    'tiff': (tiff_bomb(), {}, {413, 415}),
    'gzip': (
        gzip.compress(bytes(BIG)),
        {'shape': '8,8', 'dtype': 'uint8', 'compression': 'gzip'},
        {413, 415},
    ),
    'zstd': (
        bytes(Zstd().encode(bytes(BIG))),
        {'shape': '8,8', 'dtype': 'uint8', 'compression': 'zstd'},
        {413, 415},
    ),
    'zstd that says so': (
        bytes(Zstd().encode(bytes(BIG))),
        {'shape': '100000,100000', 'dtype': 'uint8', 'compression': 'zstd'},
        {413},
    ),
    'npy in gzip': (gzip.compress(npy(np.zeros((8, 8), 'uint8')) + bytes(BIG)), {}, {413, 415}),
}


@pytest.mark.parametrize('kind', list(BOMBS))
def test_a_bomb_is_refused_by_its_head(api, session, stored, kind):
    import tracemalloc

    body, params, expected = BOMBS[kind]
    Setting().set(SettingKey.STITCH_LIMITS, {'patchPixels': 10_000})
    before = stored()
    tracemalloc.start()
    status, answer = api.put(session, 'a', body, **params)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    check_answer(status, answer)
    assert status in expected, answer
    assert peak < BIG / 2
    assert stored() == before


def test_a_sparse_tar_and_one_that_lies_about_its_size(api, session, stored):
    before = stored()
    header = tarfile.TarInfo('a.npy')
    header.size = 2**60
    path = f'/stitch_session/{session["_id"]}/patches'
    sparse = tarfile.TarInfo('b')
    sparse.type = tarfile.GNUTYPE_SPARSE
    for body in (header.tobuf() + b'1234', sparse.tobuf() + bytes(1024)):
        status, answer = api.call('POST', path, body=body, content_type='application/x-tar')
        check_answer(status, answer)
        assert all(patch['status'] == 'refused' for patch in answer.get('patches', ()))
    assert stored() == before


def test_thousands_of_parts(api, session, stored):
    """So many parts that each is looked at, and none of them is a patch."""
    part = b'--b\r\nContent-Disposition: form-data; name="p"; filename="x0_y0.png"\r\n\r\nno\r\n'
    path = f'/stitch_session/{session["_id"]}/patches'
    before = stored()
    body = part * 12_000 + b'--b--\r\n'
    status, answer = api.call('POST', path, body=body, content_type='multipart/form-data; boundary=b')
    assert (status, '10000' in answer['message']) == (413, True), answer
    assert stored() == before

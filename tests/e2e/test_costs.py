"""What requests cost the process of a real server: the most memory that it ever took."""

import contextlib
import io
import json
import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import requests

from girder_zarr.client import StitchClient
from girder_zarr.common.budget import DEFAULT_BYTES
from support.stack import running_stack
from support.waiting import wait_until

SIDE, BANDS = 16_384, 4
#: What nothing that needs no login may take.
ANONYMOUS_BYTES = 100e6
JSON = {'Content-Type': 'application/json'}
_DIGEST = 'sha-256=:' + 'A' * 43 + '=:'


@pytest.fixture
def alone(tmp_path):
    """A stack of the test's own, whose process has not done anything yet."""
    with running_stack(tmp_path / 'data') as stack:
        yield stack


def web_process(stack):
    [pid] = [pid for pid, (_, command) in stack.parts().items() if 'stack.child.web' in command]
    return pid


def memory(pid, name):
    """Return ``VmRSS`` or ``VmHWM``, the most ever, in bytes."""
    lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f'{name}:')]
    return int(line.split()[1]) * 1024


def forget_peak(pid):
    Path(f'/proc/{pid}/clear_refs').write_text('5')


def niced_seconds(pid):
    """Return the processor time of the thread that makes overviews in the background."""
    for task in Path(f'/proc/{pid}/task').iterdir():
        with contextlib.suppress(FileNotFoundError):
            fields = (task / 'stat').read_text().rpartition(')')[2].split()
            if int(fields[16]) == 10:
                return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
    return 0.0


def large_patch():
    """An npy of a gigabyte as frames of zstd: some kilobytes, of which nobody here has the pixels."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {'shape': (SIDE, SIDE, BANDS), 'fortran_order': False, 'descr': '|u1'}
    )
    part = bytes(imagecodecs.zstd_encode(bytes(2**23)))
    return bytes(imagecodecs.zstd_encode(head.getvalue())) + part * (SIDE * SIDE * BANDS // 2**23)


def public_session(stack):
    girder = stack.client()
    me = girder.get('user/me')
    folder = girder.createFolder(me['_id'], 'open', parentType='user', public=True)
    return girder, StitchClient(girder).create(folder['_id'], 'large')


def test_large_patches_take_no_more_than_the_budget(alone):
    """Four patches that decode to 4.3 GB: stored, made small in the background, and looked at."""
    girder, session = public_session(alone)
    pid = web_process(alone)
    base, body = memory(pid, 'VmRSS'), large_patch()
    assert len(body) < 100_000
    path = f'{alone.url}api/v1/stitch_session/{session["_id"]}'
    for number in range(4):
        place = {'x': number % 2 * (SIDE - 300), 'y': number // 2 * (SIDE - 300)}
        answer = requests.put(
            f'{path}/patch/p{number}', body, params=place, headers={'Girder-Token': girder.token}, timeout=600
        )
        assert answer.status_code == 201, answer.text
    # The first level of all four patches, which needs the overviews of each; made now or in the background.
    assert requests.get(f'{path}/tiles/zxy/0/0/0', timeout=1200).ok
    seen = [niced_seconds(pid)]

    def settled():
        seen.append(niced_seconds(pid))
        return len(seen) > 100 and seen[-1] == seen[-100]

    wait_until(settled, 600, 'the overviews')
    # Where four patches meet, at full resolution and at half of it, and the ends of the last one.
    levels = requests.get(f'{path}/tiles', timeout=60).json()['levels']
    corner = (SIDE - 300) // 512
    for level, column, row in (
        (levels - 1, corner, corner),
        (levels - 2, corner // 2, corner // 2),
        (levels - 1, 2 * corner, 2 * corner),
    ):
        answer = requests.get(f'{path}/tiles/zxy/{level}/{column}/{row}', timeout=600)
        assert answer.ok, answer.text
    assert memory(pid, 'VmHWM') < base + DEFAULT_BYTES


def test_what_needs_no_login_takes_little(alone):
    """Requests with the largest bodies that are read, and with what is refused before it is parsed."""
    _, session = public_session(alone)
    pid = web_process(alone)
    path = f'{alone.url}api/v1/stitch_session/{session["_id"]}/missing'
    keys = [{'key': f'{at:0>200}', 'digest': _DIGEST} for at in range(20_000)]
    for body, expected in (
        (json.dumps({'keys': keys}), 200),
        (json.dumps({'keys': [*keys, 'a']}), 413),
        (json.dumps({'keys': [f'{at}' for at in range(100_000)]}), 413),
        (b'{"keys": [' + b'1,' * 1_000_000 + b'1]}', 413),
        (b'{"keys": [' + b'[],' * 1_000_000 + b'[]]}', 413),
        (b'{"keys": [' + b'"a",' * 1_000_000 + b'"a"]}', 413),
        (b'{"keys": ' + b'[' * 1_000_000 + b']' * 1_000_000 + b'}', 413),
        (b'{"keys": ["' + b'a' * 30_000_000 + b'"]}', 413),
    ):
        before = memory(pid, 'VmRSS')
        forget_peak(pid)
        answer = requests.post(path, body, headers=JSON, timeout=120)
        assert answer.status_code == expected, answer.text[:200]
        assert memory(pid, 'VmHWM') - before < ANONYMOUS_BYTES, body[:40]

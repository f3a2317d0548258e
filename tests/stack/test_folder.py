"""The claims on data folder and port."""

import os
import socket
import stat
import subprocess
import sys
import threading

import pytest

from girder_zarr.errors import StackError
from girder_zarr.stack.folder import DataFolder, claim_port


def test_a_folder_belongs_to_one_at_a_time(tmp_path):
    first = DataFolder(tmp_path / 'a' / 'data')
    first.claim()
    with pytest.raises(StackError, match=r'is in use by another girder-zarr \(process \d+\)'):
        DataFolder(tmp_path / 'a' / 'data').claim()
    first.release()
    second = DataFolder(tmp_path / 'a' / 'data')
    second.claim()
    second.release()


def test_only_the_user_can_enter_what_is_private(tmp_path):
    folder = DataFolder(tmp_path / 'data')
    folder.claim()
    for private in (folder.path, folder.run, folder.database, folder.logs, folder.assetstore):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    folder.release()


def test_a_folder_of_a_former_version_is_closed_to_others(tmp_path):
    folder = DataFolder(tmp_path / 'data')
    folder.claim()
    folder.release()
    for private in (folder.path, folder.logs, folder.assetstore):
        private.chmod(0o755)
    folder.claim()
    for private in (folder.path, folder.logs, folder.assetstore):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    folder.release()


def test_a_folder_with_other_things_stays_as_it_is(tmp_path):
    home = tmp_path / 'home'
    home.mkdir(mode=0o755)
    (home / 'thesis.txt').touch()
    folder = DataFolder(home)
    folder.claim()
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert stat.S_IMODE(folder.assetstore.stat().st_mode) == 0o700
    folder.release()


def test_a_lock_of_a_dead_process_is_waited_for(tmp_path):
    folder = DataFolder(tmp_path / 'data')
    folder.claim()
    # As after a kill: the number in the lock is nobody's, but a part still holds the lock.
    holder = subprocess.Popen(
        [sys.executable, '-c', 'import sys; sys.stdin.read()'], stdin=subprocess.PIPE, pass_fds=(folder.lock,)
    )
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    folder.lock_path.write_text(str(gone.pid))
    folder.release()
    other = DataFolder(tmp_path / 'data')
    thread = threading.Thread(target=other.claim)
    thread.start()
    holder.communicate(b'')
    thread.join(10)
    assert not thread.is_alive()
    assert other.lock_path.read_text() != str(gone.pid)
    other.release()


def test_long_paths_still_get_a_socket(tmp_path):
    folder = DataFolder(tmp_path / ('x' * 100) / 'data')
    folder.claim()
    path = folder.socket_path()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    folder.release()
    assert not path.exists()


def test_a_claimed_port_cannot_be_claimed_again():
    with claim_port('127.0.0.1', 0) as held:
        port = held.getsockname()[1]
        assert port > 0
        with pytest.raises(
            StackError, match=f'Port {port} on 127.0.0.1 cannot be used: Address already in use'
        ):
            claim_port('127.0.0.1', port)
    claim_port('127.0.0.1', port).close()


def test_an_unknown_host_is_named():
    with pytest.raises(StackError, match=r'The host no-such-host\.invalid'):
        claim_port('no-such-host.invalid', 0)


def test_temporary_folders_go_in_the_end_and_after_a_kill_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'system'))
    (tmp_path / 'system').mkdir()
    killed = DataFolder(tmp_path / 'data')
    killed.claim()
    killed.temporary('worker').mkdir()
    (killed.temporary('worker') / 'half').write_text('of an image')
    os.close(killed.lock)
    folder = DataFolder(tmp_path / 'data')
    folder.claim()
    folder.temporary('worker').mkdir()
    assert folder.temporary('server').parent == folder.temporary('worker').parent
    assert len(list((tmp_path / 'system').iterdir())) == 1
    folder.release()
    assert not list((tmp_path / 'system').iterdir())

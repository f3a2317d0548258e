"""Temporary folders that go with their owner, whatever becomes of it."""

import os
import subprocess
import sys
import time

import pytest

from girder_zarr.common import owned_folder
from girder_zarr.common.owned_folder import FolderKind, OwnedFolder

KIND = FolderKind('test-folder-', 'lock')


def make_old(path):
    old = time.time() - 2 * owned_folder.GRACE
    os.utime(path, (old, old))


def names(parent):
    return sorted(path.name for path in parent.iterdir())


def test_a_folder_goes_when_it_is_closed_or_collected(tmp_path):
    folder = OwnedFolder(KIND, 'a', tmp_path)
    assert names(tmp_path) == []
    assert folder.directory() == folder.directory() == tmp_path / 'test-folder-a'
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert KIND.is_owned(folder.path)
    (folder.path / 'data').write_bytes(b'x')
    folder.close()
    folder.close()
    assert not KIND.is_owned(folder.path)
    second = OwnedFolder(KIND, 'b', tmp_path)
    second.directory()
    del second
    assert names(tmp_path) == []


@pytest.mark.parametrize('end', ['os.kill(os.getpid(), 9)', 'pass'])
def test_what_a_process_left_is_swept_at_once(tmp_path, end):
    code = (
        'import os\nfrom girder_zarr.common.owned_folder import FolderKind, OwnedFolder\n'
        f'folder = OwnedFolder(FolderKind({KIND.prefix!r}, {KIND.lock!r}), "gone", {str(tmp_path)!r})\n'
        f'(folder.directory() / "data").write_bytes(b"x")\n{end}\n'
    )
    subprocess.run([sys.executable, '-c', code], check=False)
    assert names(tmp_path) == (['test-folder-gone'] if 'kill' in end else [])
    with_owner = OwnedFolder(KIND, 'mine', tmp_path)
    with_owner.directory()
    assert names(tmp_path) == ['test-folder-mine']
    KIND.sweep(tmp_path)
    assert names(tmp_path) == ['test-folder-mine']
    with_owner.close()


def test_folders_that_are_being_made_have_time_for_it(tmp_path):
    for name in ('test-folder-no-lock', 'test-folder-new-abc', 'test-folders-of-others'):
        (tmp_path / name).mkdir()
    (tmp_path / 'test-folder-new-abc' / 'lock').touch()
    KIND.sweep(tmp_path)
    assert len(names(tmp_path)) == 3
    for path in tmp_path.iterdir():
        make_old(path)
    KIND.sweep(tmp_path)
    assert names(tmp_path) == ['test-folders-of-others']


def test_folders_of_other_users_are_left_alone(tmp_path, monkeypatch):
    path = tmp_path / 'test-folder-a'
    path.mkdir()
    make_old(path)
    mine = os.getuid()
    monkeypatch.setattr(owned_folder.os, 'getuid', lambda: mine + 1)
    KIND.sweep(tmp_path)
    assert path.exists()
    monkeypatch.undo()
    KIND.sweep(tmp_path)
    assert not path.exists()


def test_a_name_that_is_taken_is_refused_and_leaves_nothing(tmp_path):
    taken = OwnedFolder(KIND, 'a', tmp_path)
    taken.directory()
    with pytest.raises(FileExistsError, match='exists already'):
        OwnedFolder(KIND, 'a', tmp_path).directory()
    missing = OwnedFolder(KIND, 'a', tmp_path / 'missing')
    with pytest.raises(FileNotFoundError):
        missing.directory()
    assert names(tmp_path) == ['test-folder-a']
    taken.close()


def test_a_fork_does_not_remove_its_parents_folder(tmp_path):
    folder = OwnedFolder(KIND, 'a', tmp_path)
    folder.directory()
    pid = os.fork()
    if not pid:
        folder.leave()
        folder.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert KIND.is_owned(folder.path)
    folder.close()
    assert names(tmp_path) == []

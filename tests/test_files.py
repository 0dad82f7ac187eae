import errno
import hashlib
import os
import shutil
import stat
from collections import namedtuple
from pathlib import Path

import pytest

from spacy_xlt import files
from spacy_xlt.files import (
    check_disk_space,
    check_sha256,
    clean_leftovers,
    counter,
    file_sha256,
    format_size,
    put_in_place,
    replaced_directory,
    staged_file,
    staging_directory,
    write_text,
)


@pytest.mark.parametrize("data", [b"", b"a", bytes(range(256)) * 50])
def test_hash_is_sha256_of_the_whole_file(data, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CHUNK_BYTES", 1000)
    path = tmp_path / "x"
    path.write_bytes(data)
    seen = []
    assert file_sha256(path, on_bytes=seen.append) == hashlib.sha256(data).hexdigest()
    assert seen == [*range(1000, len(data), 1000), len(data)] if data else seen == []


def test_another_hash_is_refused_with_both(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"a")
    with pytest.raises(ValueError, match=r"x' is not what .* is ca978112.*, expected 00ff\. Do it"):
        check_sha256(path, "00ff", advice="Do it again.")
    check_sha256(path, file_sha256(path), advice="")


def test_a_full_disk_is_refused_beforehand(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 0, 100_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    check_disk_space(tmp_path, 50_000_000)
    message = "100 MB are free, 50 MB are needed.*Nothing was changed"
    with pytest.raises(OSError, match=message.replace("50 MB", "100 MB")):
        check_disk_space(tmp_path, 50_000_001)


@pytest.mark.parametrize(
    "n_bytes, expected",
    [(0, "0 bytes"), (999, "999 bytes"), (4_010, "4.0 kB"), (488_000_000, "488 MB")]
    + [(2_240_000_000, "2.2 GB"), (95_175_889, "95 MB")],
)
def test_sizes_for_people(n_bytes, expected):
    assert format_size(n_bytes) == expected


def test_counter_adds_what_came_before():
    seen = []
    count = counter(lambda *event: seen.append(event), "hash", 100, before=30)
    count(5)
    assert seen == [("hash", 35, 100)]


def test_staging_is_beside_the_target_and_goes_away(tmp_path):
    target = tmp_path / "deep" / "e5"
    with staging_directory(target) as staging:
        assert staging.parent == target.parent
        (staging / "x").write_text("x")
    assert list(target.parent.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), staging_directory(target):
        raise KeyboardInterrupt
    assert list(target.parent.iterdir()) == []


@pytest.fixture
def leftover(tmp_path, monkeypatch):
    """What a killed run leaves: a staging directory that nobody holds."""
    target = tmp_path / "[e5]*"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *args, **kwargs: None)
        with staging_directory(target) as staging:
            (staging / "model.safetensors").write_text("half")
    return target, staging


def test_leftovers_of_this_target_only_are_cleaned(leftover, tmp_path):
    target, staging = leftover
    other = [tmp_path / ".e5.new-123", tmp_path / ".[e5]*.txt", tmp_path / "[e5]*.new-1"]
    for path in other:
        path.mkdir()
    clean_leftovers(target)
    assert sorted(tmp_path.iterdir()) == sorted(other)


def test_what_was_moved_away_is_put_back(leftover):
    target, staging = leftover
    (staging / "replaced").mkdir()
    (staging / "replaced" / "x").write_text("old")
    clean_leftovers(target)
    assert (target / "x").read_text() == "old"
    assert not staging.exists()


def test_a_target_that_is_there_is_not_overwritten_by_what_was_moved_away(leftover):
    target, staging = leftover
    (staging / "replaced").mkdir()
    target.mkdir()
    (target / "x").write_text("new")
    clean_leftovers(target)
    assert (target / "x").read_text() == "new"
    assert not staging.exists()


def test_a_run_that_still_works_is_left_alone(tmp_path):
    target = tmp_path / "e5"
    with staging_directory(target) as staging:
        with pytest.raises(ValueError, match="Another process is writing to .*Wait for it"):
            clean_leftovers(target)
        assert staging.is_dir()
    clean_leftovers(target)


def test_a_file_system_without_locks_counts_as_unlocked(leftover, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    target, staging = leftover

    def flock(file, flags):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    clean_leftovers(target)
    assert not staging.exists()


def test_nothing_to_clean_where_nothing_is(tmp_path):
    clean_leftovers(tmp_path / "no" / "such")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_there", [True, False])
def test_put_in_place_is_undone_if_it_fails(is_there, tmp_path, monkeypatch):
    target, staging = tmp_path / "e5", tmp_path / "staging"
    made = staging / "made"
    made.mkdir(parents=True)
    if is_there:
        target.mkdir()
        (target / "x").write_text("old")
    rename = os.replace

    def replace(source, path):
        if source == made:
            raise OSError(errno.EBUSY, "busy")
        rename(source, path)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="busy"):
        put_in_place(made, target, staging=staging)
    assert target.exists() == is_there
    assert not is_there or (target / "x").read_text() == "old"
    monkeypatch.setattr(os, "replace", rename)
    put_in_place(made, target, staging=staging)
    assert target.is_dir() and not list(target.iterdir())


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_text(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_earlier_file(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(error), staged_file(path) as staging:
        staging.write_text("half")
        raise error
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    # In words of their own, as safetensors and shutil.copytree say it.
    RuntimeError("Error while serializing: No space left on device (os error 28)"),
    shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'")]),
]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_disk_that_fills_up_leaves_what_was_there(error, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("before")
    before = sorted(tmp_path.rglob("*"))
    for name, writing in (("folder", replaced_directory), ("file", staged_file)):
        message = f"The disk is full: '.*{name}' could not be written, .* untouched. Make room"
        with pytest.raises(OSError, match=message), writing(tmp_path / name):
            raise error
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "before"
    with pytest.raises(RuntimeError, match="a bug"), replaced_directory(tmp_path / "folder"):
        raise RuntimeError("a bug")


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a directory; a file is needed"), staged_file(tmp_path):
        pytest.fail("the block must not run")


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="the system has no /dev/null")
def test_a_device_stays_a_device():
    with staged_file(Path("/dev/null")) as staging:
        staging.write_text("x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)

import errno
import os
import shutil
import sys

import pytest

from spacy_xlt.cli import _staging
from spacy_xlt.cli._staging import staged_results

NAMES = ("model-best", "model-last")


def fill(directory, version):
    for name in NAMES:
        (directory / name / "vocab").mkdir(parents=True)
        (directory / name / "meta.json").write_text(version)
        (directory / name / "vocab" / "strings.json").write_text(version)


def read(directory):
    """Content of each file by path."""
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def versions(directory):
    return {name: (directory / name / "meta.json").read_text() for name in NAMES}


@pytest.fixture
def target(tmp_path):
    """Earlier results, beside a file that is not one."""
    path = tmp_path / "training"
    fill(path, "old")
    (path / "notes.txt").write_text("mine")
    return path


def test_results_take_the_places_of_earlier_ones(target):
    with staged_results(target) as staging:
        assert list(staging.iterdir()) == []
        assert staging.stat().st_dev == target.stat().st_dev
        fill(staging, "new")
        assert versions(target) == dict.fromkeys(NAMES, "old")
    assert versions(target) == dict.fromkeys(NAMES, "new")
    assert (target / "notes.txt").read_text() == "mine"
    assert [path.name for path in target.parent.iterdir()] == ["training"]


def test_a_new_directory_is_made_with_all_above_it(tmp_path):
    with staged_results(tmp_path / "a" / "b") as staging:
        fill(staging, "new")
    assert versions(tmp_path / "a" / "b") == dict.fromkeys(NAMES, "new")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_changes_nothing(target, error):
    before = read(target)
    with pytest.raises(error), staged_results(target) as staging:
        fill(staging, "new")
        raise error("no")
    assert read(target) == before
    assert [path.name for path in target.parent.iterdir()] == ["training"]


def test_a_link_stays_a_link(target, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(target)
    with staged_results(link) as staging:
        fill(staging, "new")
    assert link.is_symlink()
    assert versions(target) == dict.fromkeys(NAMES, "new")


def test_a_file_is_no_directory_of_results(tmp_path):
    (tmp_path / "file").write_text("x")
    problem = pytest.raises(ValueError, match="is a file; a directory is needed")
    with problem, staged_results(tmp_path / "file"):
        pass
    assert read(tmp_path) == {"file": "x"}


def test_two_processes_do_not_write_to_one_place(target):
    with staged_results(target) as staging:
        problem = pytest.raises(ValueError, match="Another process is writing to")
        with problem, staged_results(target):
            pass
        fill(staging, "new")
    assert versions(target) == dict.fromkeys(NAMES, "new")


def test_names_alike_do_not_disturb_each_other(tmp_path):
    names = ("a", "a.new-b", "[a]")
    for name in names:
        fill(tmp_path / name, "old")
    others = staged_results(tmp_path / "a.new-b"), staged_results(tmp_path / "[a]")
    with others[0], others[1], staged_results(tmp_path / "a") as staging:
        fill(staging, "new")
    assert versions(tmp_path / "a") == dict.fromkeys(NAMES, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_staging_goes_inside_where_it_cannot_be_beside(target, monkeypatch):
    monkeypatch.setattr(_staging.os.path, "ismount", lambda path: path == target)
    with staged_results(target) as staging:
        assert target in staging.parents
        fill(staging, "new")
    assert versions(target) == dict.fromkeys(NAMES, "new")
    assert sorted(path.name for path in target.iterdir()) == [*NAMES, "notes.txt"]


def test_results_that_could_not_be_moved_are_kept_and_moved_later(target, monkeypatch):
    replace = os.replace

    def refuse(source, place):
        if os.path.basename(place) == "model-last" and "ready" in str(source):
            raise OSError(errno.EACCES, "refused")
        replace(source, place)

    monkeypatch.setattr(_staging.os, "replace", refuse)
    with pytest.raises(OSError, match="refused"), staged_results(target) as staging:
        fill(staging, "new")
    monkeypatch.undo()
    with pytest.raises(RuntimeError), staged_results(target):
        assert versions(target) == dict.fromkeys(NAMES, "new")
        raise RuntimeError
    assert [path.name for path in target.parent.iterdir()] == ["training"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("with_earlier", [True, False])
def test_killed_before_any_operation_on_files(tmp_path, with_earlier):
    """A child process dies right before its first, second, … operation on directories."""
    outcomes = []
    for n in range(100):
        target = tmp_path / str(n) / "training"
        target.parent.mkdir()
        if with_earlier:
            fill(target, "old")
        code = run_and_die(target, n)
        if code == 0:
            break
        assert code == 9
        # What is missing for the moment stands ready to be moved.
        there = [name for name in NAMES if (target / name).exists()]
        if with_earlier:
            ready = [path.name for path in target.parent.glob(".training.new-*/ready/*")]
            assert sorted({*there, *ready}) == list(NAMES)
        for name in there:
            whole = {path.name: path.read_text() for path in (target / name).rglob("*.json")}
            assert len(whole) == 2 and len(set(whole.values())) == 1
        with pytest.raises(RuntimeError), staged_results(target):
            raise RuntimeError
        assert [path.name for path in target.parent.iterdir()] == (
            ["training"] if target.exists() else []
        )
        outcomes.append(versions(target) if target.exists() else None)
    old = dict.fromkeys(NAMES, "old") if with_earlier else None
    new = dict.fromkeys(NAMES, "new")
    n_old = outcomes.count(old)
    # Up to some point the old results count, from there on the new ones; never a mixture.
    assert outcomes == [old] * n_old + [new] * (len(outcomes) - n_old)
    assert 0 < n_old < len(outcomes)


def run_and_die(target, n):
    """Replace results in a child that dies before its n-th operation. RETURNS (int): Exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        count = 0

        def count_down(event, args):
            nonlocal count
            is_counted = event in ("os.rename", "os.mkdir", "os.rmdir", "shutil.rmtree")
            if is_counted and str(target.parent) in str(args):
                if count == n:
                    os._exit(9)
                count += 1

        sys.addaudithook(count_down)
        with staged_results(target) as staging:
            fill(staging, "new")
        os._exit(0)
    except BaseException:
        os._exit(1)


def test_what_a_killed_process_left_unfinished_goes(target):
    leftover = target.parent / ".training.new-dead"
    fill(leftover / "making", "new")
    (leftover / "lock").touch()
    (target.parent / ".training.new-empty").mkdir()
    with staged_results(target):
        assert not leftover.exists()
    assert versions(target) == dict.fromkeys(NAMES, "old")
    assert [path.name for path in target.parent.iterdir()] == ["training"]
    shutil.rmtree(target)

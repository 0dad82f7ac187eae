import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import spacy
import tiny
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from typer.testing import CliRunner

from spacy_xlt import compat, files
from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli.train import (
    CorpusFacts,
    TrainingPlan,
    check_languages,
    describe_facts,
    show_plan,
)

CONFIGS = Path(__file__).parents[2] / "configs"


def snapshot(directory):
    """Hash of every file by path; empty if there is no directory."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def run(*arguments):
    """Exit code and output, spaces and line breaks as one space."""
    result = CliRunner().invoke(xlt_cli, ["train", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def arguments(encoder_dir, corpus_dir, tmp_path):
    """Of a short run that trains on English."""
    return [
        CONFIGS / "zero_shot.cfg",
        *("--output", tmp_path / "out"),
        *("--paths.train", corpus_dir / "train.spacy"),
        *("--paths.dev", corpus_dir / "train.spacy"),
        *("--paths.encoder", encoder_dir),
        *("--initialize.after_init.epochs", 1),
    ]


@pytest.fixture(scope="session")
def earlier(trained_dir, tmp_path_factory):
    """Results of an earlier run."""
    path = tmp_path_factory.mktemp("earlier") / "out"
    nlp = spacy.load(trained_dir)
    path.mkdir()
    for name in ("model-best", "model-last"):
        nlp.to_disk(path / name)
    return path


@pytest.fixture
def out(earlier, tmp_path):
    """A copy of them, at the output of the runs."""
    path = tmp_path / "out"
    subprocess.run(["cp", "-r", str(earlier), str(path)], check=True)
    (path / "notes.txt").write_text("mine")
    return path


def test_a_run_says_what_it_does_and_replaces_earlier_results(arguments, out, encoder_dir):
    before = snapshot(out)
    code, output = run(*arguments)
    assert code == 0, output
    assert f"Encoder of textcat tiny-bert in {encoder_dir}" in output.replace(" /", " /")
    assert "Training documents 27 in English; 3 labels" in output
    assert "Development documents 27 in English; 3 labels" in output
    assert "Device cpu" in output and "Disk, while training" in output
    assert " steps, evaluated every " in output
    assert "CATS_ACC" in output
    assert "✔ Trained in" in output and "/out/model-best" in output.replace(" ", "")
    assert ".new-" not in output
    after = snapshot(out)
    assert set(after) == set(before)
    assert after["notes.txt"] == before["notes.txt"]
    assert after["model-best/config.cfg"] != before["model-best/config.cfg"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    for name in ("model-best", "model-last"):
        doc = spacy.load(out / name)("we want pizza today")
        assert set(doc.cats) == set(tiny.LABELS)


def test_the_result_is_that_of_spacy_train(arguments, tmp_path, capsys):
    from spacy.cli.train import train as spacy_train

    assert run(*arguments)[0] == 0
    pairs = dict(zip(arguments[3::2], arguments[4::2], strict=True))
    overrides = {str(key).removeprefix("--"): value for key, value in pairs.items()}
    overrides = {key: str(v) if isinstance(v, Path) else v for key, v in overrides.items()}
    spacy_train(CONFIGS / "zero_shot.cfg", tmp_path / "plain", overrides=overrides)
    capsys.readouterr()
    ours, theirs = snapshot(tmp_path / "out"), snapshot(tmp_path / "plain")
    assert ours == theirs


def test_weights_differ_by_seed_only(arguments, tmp_path):
    weights = []
    for seed in (0, 0, 1):
        assert run(*arguments, "--system.seed", seed)[0] == 0
        weights.append(snapshot(tmp_path / "out")["model-last/textcat/model/model.safetensors"])
    assert weights[0] == weights[1] != weights[2]


def test_a_config_of_standard_input_and_own_code(arguments, tmp_path):
    code_path = tmp_path / "own.py"
    code_path.write_text(
        "import spacy\n"
        "@spacy.registry.callbacks('test_xlt.own_code.v1')\n"
        "def make():\n"
        "    return lambda nlp: print('own code ran')\n"
    )
    result = CliRunner().invoke(
        xlt_cli,
        [
            *("train", "-", *map(str, arguments[1:]), "--code", str(code_path)),
            *("--initialize.before_init.@callbacks", "test_xlt.own_code.v1"),
        ],
        input=(CONFIGS / "zero_shot.cfg")
        .read_text()
        .replace("before_init = null", "[initialize.before_init]\n@callbacks = null\n"),
    )
    assert result.exit_code == 0, result.output
    assert "own code ran" in result.output


@pytest.mark.parametrize(
    "extra, message",
    [
        (["--bad"], "'--bad' is not an option of this command."),
        (
            ["--paths.trian", "x"],
            "no setting 'paths.trian' to override. Did you mean 'paths.train'",
        ),
        (["--training.dropot", 1], "[training] has an unknown key 'dropot'"),
        (["--training.foo.bar", 1], "not a section value that can be overridden"),
        (["--components.textcat.label_smothing", 0.1], "Did you mean 'label_smoothing'?"),
        (["--components.textcat.model.layer_decay", "x"], "'x' is not <class 'float'>"),
        (["--components.textcat.model.layer_decay", 2], "layer_decay is 2; allowed is 0 to 1."),
        (["--components.textcat.factory", "nope"], "[E002] Can't find factory for 'nope'"),
        (["--training.optimizer.@optimizers", "nope.v1"], "Could not find function 'nope.v1'"),
        (["--initialize.components.textcat.new_hed", 1], "Did you mean 'new_head'?"),
        (["--nlp.pipeline", '["nope"]'], "Can't find component 'nope'"),
        (["--nlp.lang", "qq"], "Can't import language qq"),
        (["--paths.encoder", "nope"], "No encoder at 'nope': there is no such directory."),
        (["--paths.encoder", "TMP"], "is not an encoder directory: it has no config.json"),
        (["--paths.encoder", "null"], "No encoder is set. Set paths.encoder"),
        (["--paths.train", "nope"], "There is no corpus at 'nope'."),
        (["--paths.train", "null"], "No path to a corpus is given."),
        (["--paths.train", "TRUNCATED"], "is not a readable DocBin: it is truncated"),
        (["--paths.dev", "TRUNCATED"], "is not a readable DocBin: it is truncated"),
        (["--paths.train", "UNLABELLED"], "none of the 1 documents is labelled"),
        (["--training.train_corpus", "corpora.nope"], "nope"),
        (
            ["--initialize.components.textcat.labels", '["food", "music", "travel", "new"]'],
            "No training example has the declared labels ['new']",
        ),
        (["--initialize.components.textcat.start_from", "nope"], "which is not a trained pipeline"),
        (["--gpu-id", 99], "GPU 99 was asked for, but torch sees"),
    ],
)
def test_bad_input_is_one_message_and_changes_nothing(extra, message, arguments, out, corpus_dir):
    work = out.parent / "work"
    work.mkdir()
    whole = (corpus_dir / "train.spacy").read_bytes()
    (work / "truncated.spacy").write_bytes(whole[: len(whole) // 2])
    tiny.write_docbin(work / "unlabelled.spacy", [tiny.make_doc("a b", Vocab(), cats={})])
    places = {
        "TMP": work,
        "TRUNCATED": work / "truncated.spacy",
        "UNLABELLED": work / "unlabelled.spacy",
    }
    before = snapshot(out)
    code, output = run(*arguments, *(places.get(value, value) for value in extra))
    assert code == 1
    assert message in output
    assert "Traceback" not in output
    assert snapshot(out) == before
    assert sorted(path.name for path in out.parent.iterdir()) == ["out", "work"]


def test_no_config_file(arguments, tmp_path):
    code, output = run("nope.cfg", *arguments[1:])
    assert code == 1
    assert "There is no config file 'nope.cfg'" in output
    assert not (tmp_path / "out").exists()


def test_the_output_cannot_be_a_file(arguments, tmp_path):
    (tmp_path / "out").write_text("mine")
    code, output = run(*arguments)
    assert code == 1
    assert "is a file; a directory is needed" in output
    assert (tmp_path / "out").read_text() == "mine"


def test_verbose_shows_the_traceback(arguments, monkeypatch):
    monkeypatch.setattr(spacy.util.logger, "level", spacy.util.logger.level)
    code, output = run(*arguments, "--paths.encoder", "nope", "--verbose")
    assert code == 1
    assert "Traceback (most recent call last)" in output
    assert "No encoder at 'nope'" in output


def test_a_changed_encoder_is_noticed_by_its_hash(arguments, encoder_dir, tmp_path):
    from spacy_xlt.encoders.fetch import fetch_encoder

    path = tmp_path / "encoder"
    fetch_encoder(encoder_dir, path)
    assert run(*arguments, "--paths.encoder", path)[0] == 0
    weights = path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    before = snapshot(tmp_path / "out")
    code, output = run(*arguments, "--paths.encoder", path)
    assert code == 1
    assert "model.safetensors" in output and "SHA-256" in output
    assert snapshot(tmp_path / "out") == before


def test_a_disk_without_room_is_told_before_training(arguments, out, monkeypatch):
    usage = files.shutil.disk_usage(out)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    before = snapshot(out)
    code, output = run(*arguments)
    assert code == 1
    assert "Not enough room on the disk of" in output and "1.0 kB are free" in output
    assert "steps, evaluated" not in output
    assert snapshot(out) == before


@pytest.mark.parametrize("n_writes", [0, 1, 2])
def test_a_disk_that_fills_up_while_saving(n_writes, arguments, out, monkeypatch):
    from spacy_xlt.layers import storage

    save_file, left = storage.safetensors.torch.save_file, [n_writes]

    def fill_up(tensors, path, metadata):
        left[0] -= 1
        if left[0] < 0:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save_file(tensors, path, metadata)

    monkeypatch.setattr(storage.safetensors.torch, "save_file", fill_up)
    before = snapshot(out)
    code, output = run(*arguments)
    assert code == 1
    assert "The disk is full, so the pipeline could not be saved." in output
    assert "Aborting and saving" not in output and "Traceback" not in output
    assert snapshot(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_interrupt_changes_nothing(arguments, out, monkeypatch):
    from spacy_xlt.components.textcat import XltTextCat

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(XltTextCat, "update", interrupt)
    before = snapshot(out)
    code, output = run(*arguments)
    assert code == 130
    assert "Interrupted" in output
    assert snapshot(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_bug_keeps_its_traceback(arguments, out, monkeypatch):
    from spacy_xlt.components.textcat import XltTextCat

    def fail(*args, **kwargs):
        raise AttributeError("a bug")

    monkeypatch.setattr(XltTextCat, "update", fail)
    before = snapshot(out)
    with pytest.raises(AttributeError, match="a bug"):
        run(*arguments)
    assert snapshot(out) == before


# -- languages and labels -------------------------------------------------------------------


@pytest.fixture
def second_stage(arguments, trained_dir, corpus_dir):
    """Arguments of fine-tuning on target languages, with what the tiny encoder has to freeze."""
    pairs = dict(zip(map(str, arguments[1::2]), arguments[2::2], strict=True))
    pairs["--paths.start"] = trained_dir
    pairs["--paths.train"] = corpus_dir / "dev"
    pairs["--components.textcat.model.freeze"] = 1

    def make(recipe, **changes):
        changed = {**pairs, **{f"--paths.{key}": value for key, value in changes.items()}}
        return [CONFIGS / recipe, *(part for pair in changed.items() for part in pair)]

    return make


def test_fine_tuning_names_where_it_starts(second_stage, trained_dir, corpus_dir, tmp_path):
    code, output = run(*second_stage("finetune.cfg"))
    assert code == 0, output
    assert f"textcat goes on from {trained_dir}, trained in English (en)" in output
    n = len(DocBin().from_disk(corpus_dir / "dev" / "de.spacy"))
    langs = f"Arabic {n}, German {n}, Swahili {n}, Chinese {n}"
    assert f"Training documents {4 * n} in {langs}; 3 labels" in output
    trained = spacy.load(tmp_path / "out" / "model-best").get_pipe("textcat")
    assert trained.cfg["train_langs"] == ["en"]


def test_a_target_language_that_is_the_source_is_an_error(second_stage, corpus_dir):
    arguments = second_stage("finetune.cfg", train=corpus_dir / "train.spacy")
    code, output = run(*arguments)
    assert code == 1
    assert "The target documents are in a source language: English (en)." in output
    assert "Set paths.train to documents in other languages, or add --allow-source" in output
    assert run(*arguments, "--allow-source")[0] == 0


def test_source_documents_that_are_added_count_as_source(second_stage, corpus_dir):
    code, output = run(*second_stage("few_shot.cfg", source=corpus_dir / "train.spacy"))
    assert code == 0, output
    assert "Source documents 27 in English; 3 labels" in output
    assert "Training documents" in output and "in Arabic" in output
    german = corpus_dir / "dev" / "de.spacy"
    code, output = run(*second_stage("few_shot.cfg", source=german, train=german))
    assert code == 1
    assert "The target documents are in a source language: German (de)." in output


def plan(train, dev, *, source=(), chooses=False):
    """A plan whose corpora have one document for each (language, label)."""

    def facts(pairs):
        return CorpusFacts({lang: 1 for lang, _ in pairs}, {label: 1 for _, label in pairs})

    return TrainingPlan("cpu", {}, {}, facts(train), facts(source), facts(dev), chooses, 0)


@pytest.mark.parametrize(
    "given, message",
    [
        (
            plan([("en", "a")], [("sw", "a"), ("zh", "a")], chooses=True),
            "Documents in Swahili (sw), Chinese (zh) choose the best checkpoint",
        ),
        (
            plan([("en", "a")], [("en", "a"), ("en", "b")]),
            "labels that no training document has: ['b']. The pipeline will not know them.",
        ),
        (
            plan([("en", "a"), ("en", "b")], [("en", "a")]),
            "No development document has these labels, so scores say nothing about them: ['b'].",
        ),
    ],
)
def test_what_should_worry_the_user(given, message):
    with pytest.warns(UserWarning) as caught:
        check_languages(given, allow_source=False)
    assert [message in str(warning.message) for warning in caught] == [True]


@pytest.mark.parametrize(
    "given",
    [
        plan([("en", "a")], [("en", "a")], chooses=True),
        plan([("en", "a")], [("sw", "a")]),
        plan([("sw", "a")], [("sw", "a")], source=[("en", "a")], chooses=True),
        plan([("", "a")], [("", "a")], source=[("", "a")]),
        plan([], [("en", "a")]),
    ],
)
def test_what_should_not(given):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_languages(given, allow_source=False)


def test_facts_in_one_line():
    assert describe_facts(CorpusFacts({"": 3}, {"a": 3})) == "3 without a language; 1 labels"
    assert describe_facts(CorpusFacts({"en": 1_200}, {})) == "1,200 in English; 0 labels"
    two = CorpusFacts({"de": 1, "sw": 2}, {"a": 1, "b": 2})
    assert describe_facts(two) == "3 in Swahili 2, German 1; 2 labels"
    many = CorpusFacts({f"x{i}": 1 for i in range(40)}, {"a": 40})
    assert describe_facts(many) == "40 in 40 languages; 1 labels"


def test_a_corpus_without_this_package_and_a_stream_without_end(arguments, corpus_dir):
    code, output = run(*arguments, "--paths.train", corpus_dir / "plain.spacy")
    assert code == 0, output
    assert "Training documents 27 without a language; 3 labels" in output
    code, output = run(
        *arguments,
        *("--training.max_epochs", -1, "--training.max_steps", 2),
        *("--initialize.after_init", "null", "--training.eval_frequency", 1),
        *("--initialize.components.textcat.labels", '["food", "music", "travel"]'),
    )
    assert "Training documents" not in output
    assert "Development documents" in output


def test_an_encoder_shared_through_spacy_transformers(arguments, encoder_dir, tmp_path):
    code, output = run(CONFIGS / "shared_transformer.cfg", *arguments[1:])
    assert code == 0, output
    assert "Encoder of transformer tiny-bert in" in output
    assert set(spacy.load(tmp_path / "out" / "model-best")("pizza").cats) == set(tiny.LABELS)


def test_a_gpu_that_is_not_used_is_told(monkeypatch, capsys):
    for is_there in (True, False):
        monkeypatch.setattr("torch.cuda.is_available", lambda is_there=is_there: is_there)
        show_plan(plan([("en", "a")], [("en", "a")]))
        assert ("add: --gpu-id 0" in capsys.readouterr().out) == is_there


@pytest.mark.gpu
def test_on_a_gpu(arguments):
    code, output = run(*arguments, "--gpu-id", 0)
    compat.use_gpu(-1)
    assert code == 0, output
    assert "Device cuda:0" in output


# -- the end of the process -----------------------------------------------------------------


def kill_at_random(arguments, earlier, tmp_path, *, n_kills, seed):
    """Kill training processes at random moments; what they leave is whole, whatever the moment."""
    random_ = random.Random(seed)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = tmp_path / "out"
    command = [sys.executable, "-m", "spacy", "xlt", "train", *map(str, arguments)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def start():
        return subprocess.Popen(command, env=environment, **quiet)

    begin = time.perf_counter()
    assert start().wait() == 0
    seconds = time.perf_counter() - begin
    n_killed = 0
    for i in range(n_kills):
        subprocess.run(["rm", "-rf", str(out)], check=True)
        if i % 3:
            subprocess.run(["cp", "-r", str(earlier), str(out)], check=True)
        before = snapshot(out)
        process = start()
        # Mostly while there is something to break: in the first half Python is still starting.
        time.sleep(random_.uniform(0.4, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        n_killed += process.wait() == -signal.SIGKILL
        if snapshot(out) != before:
            for name in ("model-best", "model-last"):
                assert spacy.load(out / name)("pizza").cats
    assert n_killed > 0
    # The next run puts everything in order.
    assert start().wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert spacy.load(out / "model-best")("pizza").cats


def test_killed_at_three_random_moments(arguments, earlier, tmp_path):
    kill_at_random(arguments, earlier, tmp_path, n_kills=3, seed=0)


@pytest.mark.slow
def test_killed_at_twenty_random_moments(arguments, earlier, tmp_path):
    kill_at_random(arguments, earlier, tmp_path, n_kills=20, seed=1)


# -- several processes ------------------------------------------------------------------------


def test_two_processes_make_the_pipeline_of_one(arguments, tmp_path):
    texts = ["pizza for everybody", "这里有taxi吗", ""]
    alone, together = tmp_path / "out", tmp_path / "together"
    assert run(*arguments, "--training.dropout", 0)[0] == 0
    arguments[2] = together
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "spacy", "xlt", "train"),
            *map(str, arguments),
            *("--training.dropout", "0"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # One of them speaks.
    assert done.stdout.count("Trained in") == 1
    assert done.stdout.count("LOSS TEXTCAT") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "together"]
    one, two = (spacy.load(path / "model-best") for path in (alone, together))
    for a, b in zip(one.pipe(texts), two.pipe(texts), strict=True):
        assert a.cats == pytest.approx(b.cats, abs=1e-4)


def test_a_shared_encoder_trains_in_one_process(arguments, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    arguments[0] = CONFIGS / "shared_transformer.cfg"
    code, output = run(*arguments)
    assert code == 1
    assert "Several processes train only xlt_textcat and xlt_textcat_multilabel" in output
    assert "the pipeline also has transformer, textcat" in output

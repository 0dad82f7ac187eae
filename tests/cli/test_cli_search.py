import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import spacy
import tiny
from running import run_command
from spacy.vocab import Vocab

optuna = pytest.importorskip("optuna", reason="Optuna is not installed")

from spacy_xlt.cli.search import read_space, standard_error  # noqa: E402
from spacy_xlt.cli.train import CorpusFacts  # noqa: E402
from spacy_xlt.components.textcat import XltTextCat  # noqa: E402

RECIPE = Path(__file__).parents[2] / "configs" / "zero_shot.cfg"
DROPOUT = ("--try", "training.dropout=0.0,0.1,0.2,0.3")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "found"


@pytest.fixture
def arguments(encoder_dir, corpus_dir, out):
    """Of a search on German and Swahili of the development documents, of a second a trial."""
    return [
        *("search", RECIPE, "--output", out),
        *("--paths.train", corpus_dir / "train.spacy"),
        *("--paths.dev", corpus_dir / "dev"),
        *("--paths.encoder", encoder_dir),
        *("--initialize.after_init.epochs", 1),
        *("--select-langs", "de,sw"),
    ]


def read_results(out):
    return json.loads((out / "search.json").read_text(encoding="utf8"))


def test_the_best_config_trains_what_the_search_saw(arguments, out, tmp_path):
    output = run_command(*arguments, *DROPOUT, "--trials", 3)
    assert "German (de), Swahili (sw) will have chosen the settings" in output
    assert "Chosen by mean accuracy in de, sw" in output
    assert "Not looked at Arabic (ar), Chinese (zh)" in output
    assert "Tries training.dropout 0.0, 0.1, 0.2, 0.3" in output
    assert output.count("(best ") == 3 and "Trial 0: " in output and "dropout 0.1" in output
    assert "3 trials: 3 complete, 0 ended early, 0 failed." in output
    assert "Each figure has a standard error of up to" in output
    assert f"xlt train {out / 'best.cfg'} --output training" in output.replace("/ ", "/")
    results = read_results(out)
    best = results["trials"][results["best"]]
    text = (out / "best.cfg").read_text(encoding="utf8")
    assert text.startswith(f"# Found by spacy xlt search: trial {best['number']} of 3")
    assert "development documents in de, sw" in text
    assert f"# training.dropout = {best['settings']['training.dropout']}\n" in text
    # Only what was named has looked at the others.
    assert results["objective"] == {"langs": ["de", "sw"], "score": "accuracy"}
    run_command("train", out / "best.cfg", "--output", tmp_path / "trained")
    scores = spacy.load(tmp_path / "trained" / "model-best").meta["performance"]["cats_by_lang"]
    assert set(scores) == {"ar", "de", "sw", "zh"}
    mean = (scores["de"]["accuracy"] + scores["sw"]["accuracy"]) / 2
    assert mean == pytest.approx(best["value"])


def test_it_goes_on_and_is_not_mixed_with_another(arguments, out, corpus_dir):
    run_command(*arguments, *DROPOUT, "--trials", 2)
    before = read_results(out)["trials"]
    output = run_command(*arguments, *DROPOUT, "--trials", 3)
    assert "Going on after 2 trials" in output and "Trial 0:" not in output
    assert read_results(out)["trials"][:2] == before
    others = [
        (
            ["--training.accumulate_gradient", 2, *DROPOUT],
            "training.accumulate_gradient (1, now 2)",
        ),
        (["--try", "training.dropout=0.0"], "values of training.dropout"),
        ([*DROPOUT, "--score", "macro_f"], "score (accuracy, now macro_f)"),
        ([*DROPOUT, "--paths.train", corpus_dir / "plain.spacy"], "paths.train"),
    ]
    for extra, message in others:
        output = run_command(*arguments, "--trials", 4, *extra, code=1)
        assert "holds another search. These are not the same:" in output and message in output
    assert len(read_results(out)["trials"]) == 3


def test_other_documents_make_another_search(arguments, out, tmp_path):
    copy = tiny.write_docbin(tmp_path / "train.spacy", tiny.make_docs(["en"], Vocab()))
    run_command(*arguments, *DROPOUT, "--trials", 1, "--paths.train", copy)
    tiny.write_docbin(copy, tiny.make_docs(["en"], Vocab(), every=2))
    output = run_command(*arguments, *DROPOUT, "--trials", 2, "--paths.train", copy, code=1)
    assert "holds another search" in output and "documents of" in output


def test_usual_settings_are_tried_where_the_user_sets_none(arguments, out):
    run_command(*arguments, "--components.textcat.model.freeze", 1, "--trials", 1)
    space = read_results(out)["space"]
    assert "components.textcat.model.layer_decay" in space and "training.batcher.size" in space
    assert "components.textcat.model.freeze" not in space
    assert "initialize.after_init.epochs" not in space  # of the command line


def test_usual_settings_are_not_tried_where_the_config_has_unusual_ones(arguments, out):
    rate = "training.optimizer.learn_rate.initial_rate"
    path = arguments[3].with_suffix(".cfg")
    text = (
        arguments[1]
        .read_text(encoding="utf8")
        .replace("initial_rate = 0.00005", "initial_rate = 0.001")
    )
    path.write_text(text.replace('freeze = "embeddings"', "freeze = 1"), encoding="utf8")
    run_command(arguments[0], path, *arguments[2:], "--trials", 1)
    space = read_results(out)["space"]
    assert "training.dropout" in space
    assert rate not in space and "components.textcat.model.freeze" not in space


def test_a_range_of_a_setting_that_is_no_whole_number(arguments, out):
    run_command(*arguments, "--try", "training.dropout=0..1", "--trials", 2)
    second = read_results(out)["trials"][1]["settings"]["training.dropout"]
    assert 0 < second < 1


def test_one_process_searches(arguments, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    output = run_command(*arguments, *DROPOUT, code=1)
    assert "Several processes cannot search together." in output


@pytest.mark.parametrize(
    "extra, message",
    [
        (["--trials", 0], "The budget is 0 trials; allowed is more than 0"),
        (["--minutes", 0], "The budget is 0 minutes; allowed is more than 0"),
        (["--score", "acc"], "--score is 'acc'; allowed are accuracy, macro_f, macro_auc"),
        (["--pruner", "x"], "--pruner is 'x'; allowed are median, hyperband, none"),
        (["--try", "training.dropot=0.1"], "Did you mean 'dropout'?"),
        (["--try", "pathz.train=1"], "no setting 'pathz.train' to override. Did you mean"),
        (["--try", "components.textcat.model.layer_dcay=1.0"], "Did you mean 'layer_decay'?"),
        (["--try", "components.textcat.model.layer_decay=0.5,2.0"], "layer_decay is 2.0; allowed"),
        (
            ["--try", "initialize.after_init.evaluations=0..3"],
            "evaluations is 0; allowed is 1 or more",
        ),
        (["--try", "training.optimizer.lern.rate=1"], "not a section value"),
        (["--try", "dropout"], "--try 'dropout' is not a setting with values"),
        (["--try", "training.dropout=0.2..0.1"], "'training.dropout' has no usable values"),
        (["--try", "system.seed=1,2"], "'system.seed' is not searched"),
        (
            ["--try", "training.dropout=0.1", "--training.dropout", 0.2],
            "Both set and to be tried: training.dropout",
        ),
        (["--space", "nope.json"], "'nope.json' cannot be read as JSON or TOML"),
        (["--select-langs", "fr"], "No development document is in French (fr)"),
        (["--paths.encoder", "nope"], "No encoder at 'nope'"),
        (["--bad"], "'--bad' is not an option of this command"),
    ],
)
def test_what_is_wrong_is_told_before_the_first_trial(extra, message, arguments, out):
    assert message in run_command(*arguments, *extra, code=1)
    assert not (out / "search.json").exists()


def test_a_config_is_read_many_times(arguments):
    arguments[1] = "-"
    assert "reads the config many times. Name a file." in run_command(*arguments, code=1)


def test_without_source_documents_or_named_languages_nothing_may_choose(arguments):
    output = run_command(*arguments[:-2], *DROPOUT, code=1)
    assert "none of these is trained on" in output and "--select-langs" in output


def test_source_documents_choose_alone(arguments, out, corpus_dir):
    output = run_command(
        *arguments[:-2], *DROPOUT, "--trials", 1, "--paths.dev", corpus_dir / "train.spacy"
    )
    assert "Chosen by mean accuracy in en" in output and "Not looked at nothing" in output
    assert "will have chosen" not in output


def test_a_corpus_without_languages_will_do(arguments, corpus_dir):
    plain = corpus_dir / "plain.spacy"
    output = run_command(
        *(*arguments[:-2], *DROPOUT, "--trials", 1, "--paths.train", plain, "--paths.dev", plain)
    )
    assert "Chosen by mean accuracy in unknown" in output


@pytest.mark.parametrize("name", ["test", "test/de.spacy", "test.spacy"])
def test_a_test_set_chooses_nothing(name, arguments, tmp_path):
    path = tmp_path / ("test/de.spacy" if name == "test" else name)
    tiny.write_docbin(path, tiny.make_docs(["de", "sw"], Vocab()))
    output = run_command(*arguments, *DROPOUT, "--paths.dev", tmp_path / name, code=1)
    assert "is a test set" in output and "Set paths.dev to development documents" in output


def test_a_scorer_without_languages(arguments):
    scorer = '{"@scorers":"spacy_xlt.textcat_by_language.v1","prefix":"cats"}'
    config = arguments[1].read_text(encoding="utf8")
    assert scorer in config
    arguments[1] = arguments[3].with_suffix(".cfg")
    other = '{"@scorers":"spacy.textcat_scorer.v2"}'
    arguments[1].write_text(config.replace(scorer, other), encoding="utf8")
    output = run_command(*arguments, *DROPOUT, code=1)
    assert "No evaluation has 'accuracy' in de, sw." in output


def test_a_trial_that_breaks_off_is_passed_over(arguments, out, monkeypatch):
    update, n_calls = XltTextCat.update, []

    def fail_once(self, examples, **settings):
        n_calls.append(1)
        if len(n_calls) == 2:
            raise RuntimeError("CUDA out of memory")
        return update(self, examples, **settings)

    monkeypatch.setattr(XltTextCat, "update", fail_once)
    output = run_command(*arguments, *DROPOUT, "--trials", 3)
    assert "failed" in output and "RuntimeError: CUDA out of memory" in output
    assert "3 trials: 2 complete, 0 ended early, 1 failed." in output


def test_weights_that_are_no_numbers_any_more_are_a_failed_trial(arguments, out):
    rate = "training.optimizer.learn_rate.initial_rate"
    output = run_command(
        *(*arguments, "--trials", 2, "--try", f"{rate}=5e-5,1e30"),
        *("--initialize.after_init.evaluations", 2, "--training.batcher.size", 4),
    )
    states = {trial["settings"][rate]: trial["state"] for trial in read_results(out)["trials"]}
    assert states == {5e-5: "complete", 1e30: "failed"}, output


def test_an_interrupt_keeps_what_there_is(arguments, out, monkeypatch):
    update, n_calls = XltTextCat.update, []

    def interrupt(self, examples, **settings):
        n_calls.append(1)
        if len(n_calls) == 4:
            raise KeyboardInterrupt
        return update(self, examples, **settings)

    monkeypatch.setattr(XltTextCat, "update", interrupt)
    output = run_command(*arguments, *DROPOUT, "--trials", 4, code=130)
    assert "Best trials" in output and "Interrupted" in output
    assert (out / "best.cfg").is_file() and len(read_results(out)["trials"]) >= 1
    monkeypatch.undo()
    run_command(*arguments, *DROPOUT, "--trials", 4)
    dropouts = [trial["settings"]["training.dropout"] for trial in read_results(out)["trials"]]
    assert sorted(dropouts) == [0.0, 0.1, 0.2, 0.3]


def test_killed_in_a_trial_it_goes_on(arguments, out):
    command = [sys.executable, "-m", "spacy", "xlt", *map(str, arguments), *DROPOUT]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, "--trials", "40"], env=environment, **quiet)
    deadline = time.monotonic() + 200
    while not (out / "search.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
        assert process.poll() is None
    assert "Another process is at work in" in run_command(*arguments, *DROPOUT, code=1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = read_results(out)["trials"]
    run_command(*arguments, *DROPOUT, "--trials", len(before) + 1)
    after = read_results(out)["trials"]
    assert after[: len(before)] == before and len(after) >= len(before)


def test_a_damaged_storage(arguments, out):
    out.mkdir()
    (out / "search.journal").write_text("no journal\n")
    output = run_command(*arguments, *DROPOUT, code=1)
    assert "is damaged or not the storage of a search" in output


def test_memory_does_not_grow_from_trial_to_trial(arguments, out):
    def n_pipes():
        gc.collect()
        return sum(isinstance(x, XltTextCat) for x in gc.get_objects())

    before = n_pipes()
    run_command(*arguments, *DROPOUT, "--trials", 2)
    size = psutil.Process().memory_info().rss
    run_command(*arguments, *DROPOUT, "--trials", 4)
    assert n_pipes() <= before
    assert psutil.Process().memory_info().rss - size < 50_000_000


# -- what is tried --------------------------------------------------------------------------


def test_a_space_in_a_file_and_on_the_command_line(tmp_path):
    toml = tmp_path / "space.toml"
    toml.write_text(
        'training.dropout = [0.0, 0.1]\n"a.b" = {low = 1, high = 2}\n[c.d]\nlow = 0.5\nhigh = 1\n'
    )
    expected = {
        "training.dropout": [0.0, 0.1],
        "a.b": {"low": 1, "high": 2},
        "c.d": {"low": 0.5, "high": 1},
    }
    assert read_space(toml, []) == expected
    as_json = tmp_path / "space.json"
    as_json.write_text(json.dumps(expected))
    assert read_space(as_json, []) == expected
    tries = ["a.b=x,true,null,1", "e.f=1e-5..2e-4:log", "g.h=1..3"]
    assert read_space(as_json, tries) == {
        **expected,
        "a.b": ["x", True, None, 1],
        "e.f": {"low": 1e-5, "high": 2e-4, "log": True},
        "g.h": {"low": 1, "high": 3, "log": False},
    }


@pytest.mark.parametrize("text", ["[1]", "not json", "\xff"])
def test_a_file_that_is_no_space(text, tmp_path):
    path = tmp_path / "space.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="cannot be read as JSON or TOML|holds no object"):
        read_space(path, [])


def test_the_standard_error_of_parallel_corpora_is_that_of_one_language():
    facts = CorpusFacts({"en": 100, "fr": 100, "de": 5}, {})
    assert standard_error(0.5, facts, ["en", "fr"]) == pytest.approx(0.05)
    assert standard_error(1.0, facts, ["en"]) == 0.0
    assert standard_error(0.5, CorpusFacts({"": 100}, {}), ["unknown"]) == pytest.approx(0.05)

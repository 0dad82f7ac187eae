"""The script that writes the table of gains, on made-up runs."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """The script, which reads runs from a folder of the test."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    module = importlib.import_module("transfer")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "transfer")
    monkeypatch.setattr(module.runs, "RESULTS", tmp_path)
    (tmp_path / "transfer").mkdir()
    (tmp_path / "sib200").mkdir()
    return module


@pytest.fixture
def keep(tmp_path):
    """Keep a run, whose accuracy is told by its sentences."""

    def write(name, recipe, correct, *, folder="transfer", with_correct=True, **more):
        accuracy = {lang: right.count("1") / len(right) for lang, right in correct.items()}
        run = {"recipe": recipe, "source": "en", "split": "test", "accuracy": accuracy, **more}
        if with_correct:
            run["correct"] = correct
        (tmp_path / folder / f"{name}.json").write_text(json.dumps(run))

    return write


def rows(benchmark):
    return {row.setting: row for row in benchmark.summarise(benchmark.read_all())}


def test_gains_are_against_the_same_half_and_seeds(benchmark, keep):
    settings = {"seconds": 10.0}
    keep("zero_shot-seed0", "zero_shot", {"en": "11", "sw": "1000"}, seed=0, **settings)
    keep("zero_shot-seed1", "zero_shot", {"en": "11", "sw": "1111"}, seed=1, **settings)
    keep("zero_shot_even-seed0", "zero_shot_even", {"en": "11", "sw": "0000"}, seed=0, **settings)
    keep("x-seed0", "x", {"en": "11", "sw": "1100"}, seed=0, time=2.5)
    keep("joint-seed0", "joint", {"sw": "1100"}, seed=0, seconds=5.0)
    found = {(row.recipe, row.half): value for row, value in rows(benchmark).items()}
    assert found["x", "all"].gain.mean == pytest.approx(25.0)
    assert found["x", "all"].time == 2.5 and found["x", "all"].by_sentence
    assert found["joint", "even"].gain.mean == pytest.approx(50.0)
    assert [x.shots for x in rows(benchmark) if x.recipe == "joint"] == [0]
    assert found["joint", "even"].time is None  # seconds of another day say nothing
    assert found["zero_shot", "all"].gain is None and found["zero_shot", "all"].n_runs == 2
    assert found["zero_shot", "all"].mean == pytest.approx((0.25 + 1.0) / 2)
    # Only what a user can choose is in the package.
    (gain,) = json.loads(benchmark.gains_json())["gains"]
    assert gain["recipe"] == "joint" and gain["labels_per_class"] == benchmark.ALL_LABELS


def test_shots_stand_in_keys_or_names_and_files_may_hold_several_runs(benchmark, keep, tmp_path):
    keep("few_shot-start-test", "few_shot-start", {"sw": "1000", "yo": "0000"})
    keep("zero_shot_even-seed0", "zero_shot_even", {"sw": "1111", "yo": "1111"}, seed=0)
    inner = [
        {"lang": lang, "draw": draw, "accuracy": 0.5, "correct": "1100", "seconds": 3.0}
        for lang in ("sw", "yo")
        for draw in range(3)
    ]
    content = {"recipe": "few_shot", "source": "en", "shots": 8, "split": "test", "runs": inner}
    (tmp_path / "transfer" / "few_shot-shots8-test.json").write_text(json.dumps(content))
    keep("finetune-sw-shotsall-test-draw0", "finetune", {"sw": "1110"}, seed=0)
    found = {(row.recipe, row.shots): value for row, value in rows(benchmark).items()}
    assert found["few_shot", 8].n_runs == 6 and found["few_shot", 8].langs == ["sw", "yo"]
    assert found["few_shot", 8].gain.mean == pytest.approx(37.5)  # against its own start
    assert found["finetune", 0].gain.mean == pytest.approx(50.0)
    assert all(recipe != "few_shot-start" for recipe, _ in found)
    gains = json.loads(benchmark.gains_json())["gains"]
    assert {(gain["recipe"], gain["labels_per_class"]) for gain in gains} == {
        ("few_shot", 8),
        ("finetune", benchmark.ALL_LABELS),
    }


def test_earlier_runs_give_way_and_unknown_ones_do_not_count(benchmark, keep):
    keep("zero_shot-even-test", "zero_shot", {"sw": "0000"}, seed=0, folder="sib200")
    keep("few_shot-sw-shots8-draw0", "few_shot", {"sw": "1111"}, seed=0, folder="sib200")
    keep("sklearn-en-seed0", "sklearn", {"sw": "1111"}, seed=0, folder="sib200")
    found = {row.recipe: value for row, value in rows(benchmark).items()}
    assert set(found) == {"zero_shot", "few_shot"} and found["few_shot"].folder == "sib200"
    keep("few_shot-sw-shots4-draw0", "few_shot", {"sw": "1000"}, draw=0)
    (row,) = [value for row, value in rows(benchmark).items() if row.recipe == "few_shot"]
    assert row.setting.shots == 4 and row.gain.mean == pytest.approx(25.0)
    keep("few_shot-dev", "few_shot", {"sw": "1000"}, draw=0, split="dev", shots=2)
    assert len(rows(benchmark)) == 2


def test_without_sentences_the_interval_is_over_languages(benchmark, keep):
    langs = ["sw", "yo", "zu", "ha", "ku"]
    keep("zero_shot-seed0", "zero_shot", dict.fromkeys(langs, "1000"), seed=0)
    better = dict.fromkeys(langs, "1100") | {"ku": "1110"}
    keep("lora-seed0", "lora", better, seed=0, with_correct=False)
    keep("plain-seed0", "plain", {"sw": "1100"}, seed=0, with_correct=False)
    found = {row.recipe: value for row, value in rows(benchmark).items()}
    gain = found["lora"].gain
    assert gain.mean == pytest.approx(30.0) and not found["lora"].by_sentence
    # Student's t of four degrees of freedom at 97.5 % is 2.776; the error of the mean is 5.
    assert (gain.low, gain.high) == pytest.approx((30.0 - 13.88, 30.0 + 13.88), abs=0.01)
    lines = benchmark.to_markdown(list(found.values()))
    assert any("| +30.0 (+16.1 to +43.9) * |" in line for line in lines)
    assert any("| +25.0 |" in line for line in lines)
    by_recipe = {gain["recipe"]: gain for gain in json.loads(benchmark.gains_json())["gains"]}
    assert by_recipe["plain"]["interval"] is None and by_recipe["lora"]["by_sentence"] is False


def test_without_runs_there_are_no_gains(benchmark):
    assert json.loads(benchmark.gains_json())["gains"] == []
    assert len(benchmark.to_markdown([])) == 2

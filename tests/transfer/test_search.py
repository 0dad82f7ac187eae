import json
import math

import pytest

optuna = pytest.importorskip("optuna", reason="Optuna is not installed")

from spacy_xlt.transfer.search import (  # noqa: E402
    DEFAULT_SPACE,
    Budget,
    Objective,
    Search,
    TrialFailed,
    build_distributions,
    edges,
    fill_space,
)

SPACE = {"training.dropout": {"low": 0.0, "high": 1.0}, "a.b": ["x", "y"]}


@pytest.fixture
def make_search(tmp_path):
    def make(space=SPACE, **settings):
        settings = {"identity": {"a": 1}, "objective": Objective(["en"]), **settings}
        return Search(tmp_path / "journal", space, **settings)

    return make


def good_at_half(settings, report):
    """An objective that is best at a dropout of 0.5 with x, told in three evaluations."""
    value = 1 - abs(settings["training.dropout"] - 0.5) - 0.1 * (settings["a.b"] == "y")
    for share in (0.5, 0.8, 1.0):
        report(share * value)
    return value


def test_the_best_of_the_trials_is_found(make_search):
    search, told = make_search(pruner="none"), []
    search.run(good_at_half, Budget(n_trials=30), on_trial=told.append)
    assert search.trials == told and len(told) == 30
    assert search.best.value == max(trial.value for trial in told) > 0.9
    assert search.best.settings["a.b"] == "x"
    assert search.best.steps == pytest.approx(
        [0.5 * search.best.value, 0.8 * search.best.value, search.best.value]
    )
    importance = search.importance()
    assert set(importance) == set(SPACE) and sum(importance.values()) == pytest.approx(1)


def test_the_values_of_the_config_come_first(make_search):
    search = make_search(start={"training.dropout": 0.25, "a.b": "not in the space", "c": 1})
    search.run(good_at_half, Budget(n_trials=1))
    assert search.trials[0].settings["training.dropout"] == 0.25


def test_it_goes_on_from_its_file(make_search):
    make_search().run(good_at_half, Budget(n_trials=3))
    search = make_search()
    assert search.before == search.identity == {"a": 1}
    before = search.trials
    search.run(good_at_half, Budget(n_trials=3))
    assert search.trials == before
    search.run(good_at_half, Budget(n_trials=5))
    assert search.trials[:3] == before and len(search.trials) == 5
    assert len({json.dumps(trial.settings) for trial in search.trials}) == 5
    assert make_search(identity={"a": 2}).before == {"a": 1}


@pytest.mark.parametrize("error", [KeyboardInterrupt, AttributeError])
def test_an_interrupted_trial_is_tried_again(make_search, error):
    interrupted = []

    def stop(settings, report):
        interrupted.append(settings)
        report(0.1)
        raise error

    search = make_search()
    with pytest.raises(error):
        search.run(stop, Budget(n_trials=3))
    assert search.trials == []
    search = make_search()
    search.run(good_at_half, Budget(n_trials=1))
    assert search.trials[0].settings == interrupted[0]


def test_a_trial_of_a_killed_process_is_tried_again(make_search):
    search = make_search()
    killed = search._study.ask(fixed_distributions=search._distributions)
    search = make_search()
    search.run(good_at_half, Budget(n_trials=1))
    assert search.trials[0].settings == killed.params


def test_a_line_that_a_killed_process_has_half_written(make_search, tmp_path):
    make_search().run(good_at_half, Budget(n_trials=2))
    path = tmp_path / "journal"
    path.write_bytes(path.read_bytes()[:-20])
    search = make_search()
    search.run(good_at_half, Budget(n_trials=3))
    assert len(search.trials) == len(make_search().trials) == 3


def test_trials_that_fall_behind_end_early(make_search):
    n_evaluations = []

    def train(settings, report):
        n = len(n_evaluations)
        n_evaluations.append(0)
        value = 0.9 - n / 100
        for _ in range(10):
            n_evaluations[n] += 1
            report(value)
        return value

    search = make_search(pruner="median")
    search.run(train, Budget(n_trials=8))
    assert n_evaluations == [10] * 4 + [2] * 4
    assert [trial.state for trial in search.trials] == ["complete"] * 4 + ["pruned"] * 4
    assert search.trials[-1].value is None and search.best.number == 0
    assert make_search(pruner="hyperband")._study.pruner.__class__.__name__ == "HyperbandPruner"


def test_a_trial_that_fails_is_recorded(make_search):
    n = []

    def train(settings, report):
        n.append(1)
        if len(n) == 2:
            raise TrialFailed("RuntimeError: out of memory")
        if len(n) == 3:
            raise ValueError("diverged")
        return 0.5

    search = make_search()
    search.run(train, Budget(n_trials=4))
    assert [t.state for t in search.trials] == ["complete", "failed", "failed", "complete"]
    assert [t.error for t in search.trials[1:3]] == ["RuntimeError: out of memory", "diverged"]


def test_a_bad_config_ends_it_at_once(make_search):
    def train(settings, report):
        raise ValueError("bad config")

    search = make_search()
    with pytest.raises(ValueError, match="bad config"):
        search.run(train, Budget(n_trials=4))
    assert search.trials == [] and search.best is None


def test_nothing_but_failures_end_it(make_search):
    def train(settings, report):
        raise TrialFailed("too big")

    with pytest.raises(ValueError, match="The first 3 trials failed, .*The last one: too big"):
        make_search().run(train, Budget(n_trials=10))


def test_a_space_that_is_used_up_ends_it(make_search):
    space = {"training.dropout": [0.5], "a.b": ["x", "y"]}
    search = make_search(space)
    search.run(good_at_half, Budget(n_trials=10))
    assert [trial.settings["a.b"] for trial in search.trials] in (["x", "y"], ["y", "x"])


def test_time_is_counted_over_all_calls(make_search, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("spacy_xlt.transfer.search.time.monotonic", lambda: clock[0])

    def train(settings, report):
        for _ in range(10):
            clock[0] += 1
            report(0.5)
        return 0.5

    search = make_search()
    search.run(train, Budget(seconds=25))
    assert [trial.seconds for trial in search.trials] == [10, 10]  # no room for a third
    search = make_search()
    search.run(train, Budget(seconds=29))
    assert len(search.trials) == 2
    search.run(train, Budget(seconds=31))
    assert len(search.trials) == 3


def test_a_trial_does_not_run_far_over_the_time(make_search, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("spacy_xlt.transfer.search.time.monotonic", lambda: clock[0])

    def train(settings, report):
        n_steps = 5 if not search.trials else 1000
        for _ in range(n_steps):
            clock[0] += 1
            report(0.5)
        return 0.5

    search = make_search()
    search.run(train, Budget(seconds=20))
    assert [trial.state for trial in search.trials] == ["complete", "pruned"]
    assert sum(trial.seconds for trial in search.trials) == 21


@pytest.mark.parametrize(
    "settings", [{"n_trials": 0}, {"seconds": 0.0}, {"n_trials": -1}, {"seconds": math.nan}]
)
def test_a_budget_of_nothing(settings):
    with pytest.raises(ValueError, match="The budget is .*; allowed is more than 0"):
        Budget(**settings)


def test_a_file_of_something_else(tmp_path, make_search):
    (tmp_path / "journal").write_text('{"some": "thing"}\n')
    with pytest.raises(ValueError, match="is damaged or not the storage of a search"):
        make_search()


@pytest.mark.parametrize(
    "values",
    [
        [],
        [[1]],
        {},
        {"low": 1},
        {"low": 2, "high": 1},
        {"low": 0.0, "high": 1.0, "log": True},
        {"low": 1, "high": 2, "stp": 1},
        {"low": "a", "high": "b"},
        {"low": 0.0, "high": math.inf},
        5,
        None,
        {"low": True, "high": None},
    ],
)
def test_values_that_make_no_sense(values):
    with pytest.raises(ValueError, match="'a.b' has no usable values: .*Allowed are a list"):
        build_distributions({"a.b": values})


@pytest.mark.parametrize("key", ["paths.dev", "corpora.dev.limit", "training.seed", "system.seed"])
def test_data_and_seed_are_not_searched(key):
    with pytest.raises(ValueError, match=f"'{key}' is not searched"):
        build_distributions({key: [1, 2]})


def test_an_empty_space():
    with pytest.raises(ValueError, match="There is nothing to search"):
        build_distributions({})


def test_ranges_of_whole_numbers_and_others():
    made = build_distributions(
        {"a": {"low": 1, "high": 3}, "b": {"low": 0, "high": 0.3, "step": 0.1}, "c": [None, True]}
    )
    kinds = [type(distribution).__name__ for distribution in made.values()]
    assert kinds == ["IntDistribution", "FloatDistribution", "CategoricalDistribution"]
    assert edges({"low": 1, "high": 3}) == [1, 3] and edges(["a"]) == ["a"]


def test_the_default_space_makes_sense_for_every_component():
    space = fill_space(DEFAULT_SPACE, ["a", "b"])
    assert len(build_distributions(space)) == len(space)
    assert "components.b.model.freeze" in space and not any("{" in key for key in space)


def test_every_language_counts_the_same():
    scores = {
        "cats_acc": 0.1,
        "cats_by_lang": {
            "en": {"accuracy": 0.9, "macro_auc": None, "n": 1000},
            "fr": {"accuracy": 0.5, "macro_auc": 0.7, "n": 10},
            "de": {"accuracy": 0.0, "macro_auc": 0.0, "n": 10},
        },
    }
    assert Objective(["en", "fr"]).measure(scores) == pytest.approx(0.7)
    assert Objective(["en", "fr"], "macro_auc").measure(scores) == pytest.approx(0.7)
    with pytest.raises(ValueError, match="No evaluation has 'accuracy' in sw.*scorer = "):
        Objective(["sw"]).measure(scores)

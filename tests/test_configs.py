"""Every config of the repository: filled, trains, and takes its paths from the command line."""

from pathlib import Path

import pytest
import spacy
import tiny
from safetensors.torch import load_file
from spacy.cli.train import train
from spacy.util import load_config, load_model_from_config

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(path.name for path in FOLDER.glob("*.cfg"))


@pytest.fixture(scope="session")
def paths(tmp_path_factory, corpus_dir, trained_deep):
    """All paths that a config may ask for."""
    encoder, start = trained_deep
    lexicons = tmp_path_factory.mktemp("lexicons")
    (lexicons / "en-sw.tsv").write_text("today\tleo\nis there\tkuna\n", encoding="utf8")
    (lexicons / "en-zh.txt").write_text("want 想要\nhere 这里\n", encoding="utf8")
    return {
        "paths.train": str(corpus_dir / "train.spacy"),
        "paths.dev": str(corpus_dir / "dev"),
        "paths.encoder": str(encoder),
        "paths.start": str(start),
        "paths.source": str(corpus_dir / "train.spacy"),
        "paths.lexicons": str(lexicons),
    }


@pytest.fixture(scope="session")
def trained_deep(tmp_path_factory):
    """An encoder with enough layers for the configs that freeze some, and a pipeline made of it."""
    path = tmp_path_factory.mktemp("deep")
    encoder = tiny.make_encoder(path / "encoder", "bert", num_hidden_layers=8)
    nlp = spacy.blank("xx")
    reading = {"@architectures": "spacy_xlt.Encoder.v1", "path": str(encoder)}
    nlp.add_pipe("xlt_textcat", name="textcat", config={"model": {"encoder": reading}})
    nlp.initialize(lambda: tiny.make_examples(nlp))
    nlp.to_disk(path / "start")
    return encoder, path / "start"


def overrides_of(name, paths):
    """Of all paths those that the config has."""
    sections = load_config(FOLDER / name, interpolate=False)["paths"]
    return {key: value for key, value in paths.items() if key.split(".")[1] in sections}


def test_there_are_configs():
    assert {"zero_shot.cfg", "finetune.cfg", "few_shot.cfg", "frozen.cfg"} <= set(CONFIGS)
    assert {"shared_transformer.cfg", "lexicon.cfg"} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_filled(name, paths):
    """`spacy init fill-config` has nothing to add: what one reads is what runs."""
    config = load_config(FOLDER / name, overrides=overrides_of(name, paths), interpolate=False)
    filled = load_model_from_config(config, auto_fill=True).config
    for section in filled:
        assert filled[section] == config[section], section


@pytest.mark.parametrize("name", CONFIGS)
def test_it_says_how_to_run_it(name, paths):
    comments = (FOLDER / name).read_text(encoding="utf8").splitlines()[:2]
    assert all(line.startswith("# ") for line in comments)
    assert f"configs/{name}" in comments[1]
    for key in overrides_of(name, paths):
        assert f"--{key} " in comments[1]


@pytest.mark.parametrize("name", CONFIGS)
def test_paths_have_no_default(name):
    sections = load_config(FOLDER / name, interpolate=False)["paths"]
    assert set(sections.values()) == {None}
    assert {"train", "dev", "encoder"} <= set(sections)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_trains(name, paths, tmp_path):
    overrides = {
        **overrides_of(name, paths),
        "initialize.after_init.epochs": 1,
        "initialize.after_init.evaluations": 1,
        "system.seed": 1,
    }
    train(FOLDER / name, tmp_path / "out", overrides=overrides)
    for directory in ("model-best", "model-last"):
        nlp = spacy.load(tmp_path / "out" / directory)
        assert nlp.get_pipe("textcat").labels == tuple(tiny.LABELS)
        # The baseline starts from nothing and is slow.
        assert tiny.accuracy(nlp, ["en"]) > (0.3 if name == "plain.cfg" else 0.4)
    scores = nlp.meta["performance"]
    assert 0.0 <= scores["cats_acc"] <= 1.0
    assert set(scores["cats_by_lang"]) == {"ar", "de", "sw", "zh"}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_corpus_made_without_this_package_will_do(name, paths, corpus_dir, tmp_path):
    """A DocBin that records no language."""
    plain = str(corpus_dir / "plain.spacy")
    overrides = {
        **overrides_of(name, {**paths, "paths.train": plain, "paths.dev": plain}),
        "initialize.after_init.epochs": 1,
        "initialize.after_init.evaluations": 1,
    }
    train(FOLDER / name, tmp_path, overrides=overrides)
    assert len(spacy.load(tmp_path / "model-last")("taxi").cats) == 3


def test_no_zero_shot_choice_is_made_by_scores():
    """With all weights 0 every evaluation ties, and spaCy keeps the last."""
    config = load_config(FOLDER / "zero_shot.cfg", interpolate=False)
    assert not any(config["training"]["score_weights"].values())
    assert config["training"]["patience"] == 0
    assert config["initialize"]["after_init"]["patience"] == 0


def test_the_last_step_wins_where_scores_do_not_count(paths, tmp_path):
    overrides = {
        **overrides_of("zero_shot.cfg", paths),
        "initialize.after_init.epochs": 2,
        "initialize.after_init.evaluations": 2,
    }
    train(FOLDER / "zero_shot.cfg", tmp_path, overrides=overrides)
    best, last = (
        (tmp_path / name / "textcat" / "model" / "model.safetensors").read_bytes()
        for name in ("model-best", "model-last")
    )
    assert best == last


@pytest.fixture
def final_weights(paths, tmp_path):
    """Weights after training two epochs by zero_shot.cfg with overrides."""

    def run(**overrides):
        overrides = {
            **overrides_of("zero_shot.cfg", paths),
            "initialize.after_init.epochs": 2,
            "initialize.after_init.evaluations": 1,
            "training.batcher.size": 8,
            "components.textcat.model.precision": "fp32",
            **{key.replace("__", "."): value for key, value in overrides.items()},
        }
        train(FOLDER / "zero_shot.cfg", tmp_path, overrides=overrides)
        return load_file(tmp_path / "model-last" / "textcat" / "model" / "model.safetensors")

    return run


def largest_difference(a, b):
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_a_seed_gives_the_same_run_and_another_another(final_weights):
    first, again, other = (final_weights(system__seed=seed) for seed in (1, 1, 2))
    assert largest_difference(first, again) == 0.0
    assert largest_difference(first, other) > 1e-5


def test_accumulating_gradients_gives_the_same_run(final_weights):
    whole, parts = (
        final_weights(training__accumulate_gradient=n, training__dropout=0.0) for n in (1, 4)
    )
    assert largest_difference(whole, parts) < 1e-5
    untrained = final_weights(training__optimizer__learn_rate__initial_rate=0.0)
    assert largest_difference(whole, untrained) > 1e-4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"paths.encoder": None}, "No encoder is set"),
        ({"paths.encoder": "/no/such/encoder"}, "there is no such directory"),
        ({"paths.train": None}, "No path to a corpus is given"),
        ({"paths.train": "/no/such/corpus.spacy"}, "There is no corpus at"),
        ({"components.textcat.model.freeze": 99}, "freeze is 99"),
    ],
)
def test_mistakes_are_named(paths, tmp_path, override, message):
    overrides = {**overrides_of("zero_shot.cfg", paths), **override}
    with pytest.raises(ValueError, match=message):
        train(FOLDER / "zero_shot.cfg", tmp_path, overrides=overrides)
    assert not (tmp_path / "model-last").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"components.textcat.model.freeze": "all"}, "freeze"),
        ({"components.textcat.model.no_such_key": 1}, "no_such_key"),
        ({"components.textcat.treshold": 0.1}, "treshold"),
        ({"initialize.components.textcat.langs": ["en"]}, "langs"),
    ],
)
def test_settings_that_do_not_exist_are_named(paths, tmp_path, capsys, override, message):
    overrides = {**overrides_of("zero_shot.cfg", paths), **override}
    with pytest.raises((ValueError, SystemExit)) as error:
        train(FOLDER / "zero_shot.cfg", tmp_path, overrides=overrides)
    assert message in str(error.value) + capsys.readouterr().out
    assert not (tmp_path / "model-last").exists()

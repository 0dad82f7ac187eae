import json
from pathlib import Path

import pytest
import tiny
from running import run_command
from spacy.util import load_config, load_model_from_config
from spacy.vocab import Vocab

from spacy_xlt.cli.init import adapt_recipe
from spacy_xlt.cli.transfer import train_line
from spacy_xlt.transfer.recipes import RECIPES, Recipe


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Training and development documents in three languages, a file each."""
    root = tmp_path_factory.mktemp("corpora")
    for lang in ("en", "de", "sw"):
        docs = tiny.make_docs([lang], Vocab())
        tiny.write_docbin(root / "train" / f"{lang}.spacy", docs[::2])
        tiny.write_docbin(root / "dev" / f"{lang}.spacy", docs[1::2])
    return root


@pytest.fixture
def arguments(corpora, encoder_dir, tmp_path):
    """What every recipe takes."""
    return [
        *("--train", corpora / "train", "--dev", corpora / "dev"),
        *("--encoder", encoder_dir, "--output", tmp_path / "made.cfg"),
    ]


def made(tmp_path):
    return load_config(tmp_path / "made.cfg")


def test_a_first_stage(arguments, corpora, encoder_dir, tmp_path):
    text = run_command("transfer", "zero_shot", *arguments, "--source-langs", "eng")
    assert "zero_shot: the encoder but its embedding table" in text
    assert "corpora.train.langs en source languages of the corpus, which also has" in text
    assert "one label per document every document has one label" in text
    command = f"python -m spacy xlt train {tmp_path / 'made.cfg'} --output training/made"
    assert f"Train with: {command}" in text
    assert (tmp_path / "made.cfg").read_text().splitlines()[1] == f"# {command}"
    config = made(tmp_path)
    paths = {"train": corpora / "train", "dev": corpora / "dev", "encoder": encoder_dir}
    assert {k: config["paths"][k] for k in paths} == {k: str(v) for k, v in paths.items()}
    assert config["corpora"]["train"]["langs"] == config["corpora"]["dev"]["langs"] == ["en"]
    load_model_from_config(config, auto_fill=True)


def test_it_trains_as_it_stands(arguments, tmp_path):
    run_command("transfer", "frozen", *arguments, "--source-langs", "en")
    text = run_command("train", tmp_path / "made.cfg", "--output", tmp_path / "out")
    assert "Trained in" in text and (tmp_path / "out" / "model-best" / "meta.json").is_file()


def test_a_second_stage_finds_its_source(arguments, corpora, trained_dir, tmp_path):
    text = run_command("transfer", "few_shot", *arguments, "--start", trained_dir)
    assert "the source language's file beside those to train on" in text
    config = made(tmp_path)
    assert config["paths"]["start"] == str(trained_dir)
    assert config["paths"]["source"] == str(corpora / "train" / "en.spacy")
    assert config["corpora"]["train"]["langs"] == ["de", "sw"]
    other = corpora / "dev" / "en.spacy"
    run_command("transfer", "few_shot", *arguments, "-F", "--start", trained_dir, "-s", other)
    assert made(tmp_path)["paths"]["source"] == str(other)


def test_several_files_and_other_settings(corpora, encoder_dir, tmp_path, trained_dir):
    files = [corpora / "train" / f"{lang}.spacy" for lang in ("de", "sw")]
    run_command(
        "transfer",
        "finetune",
        *("--train", files[0], "--train", files[1], "--start", trained_dir),
        *("--output", tmp_path / "made.cfg", "--training.dropout", "0.25"),
        *("--paths.dev", corpora / "dev", "--paths.encoder", encoder_dir),
    )
    config = made(tmp_path)
    assert config["paths"]["train"] == [str(file) for file in files]
    assert config["training"]["dropout"] == 0.25
    assert config["paths"]["dev"] == str(corpora / "dev")
    assert config["corpora"]["train"]["langs"] is None


def test_several_labels_of_a_document(encoder_dir, tmp_path):
    rows = [{"text": f"text {i}", "label": ["a", "b"][: i % 3], "lang": "en"} for i in range(1, 12)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    arguments = ("transfer", "zero_shot", "--train", path, "--dev", path, "--encoder", encoder_dir)
    text = run_command(*arguments, "--output", tmp_path / "made.cfg")
    assert "any number of labels per document" in text
    assert "documents have several labels or none" in text
    assert "11 of 11 development documents are trained on too" in text
    assert made(tmp_path)["components"]["textcat"]["factory"] == "xlt_textcat_multilabel"
    run_command(*arguments, "--output", tmp_path / "made.cfg", "--exclusive", "--force")
    assert made(tmp_path)["components"]["textcat"]["factory"] == "xlt_textcat"


@pytest.mark.parametrize("recipe", [name for name, x in RECIPES.items() if not x.commands])
def test_every_recipe_says_what_it_lacks(recipe, corpora, tmp_path):
    out = tmp_path / "o.cfg"
    text = run_command("transfer", recipe, "--train", corpora / "train", "--output", out, code=1)
    assert f"The recipe '{recipe}' needs more than is given: --dev: labelled texts" in text
    assert "--encoder: the directory of an encoder. Fetch one with:" in text
    assert not out.exists()


def test_what_the_example_of_a_config_adds(monkeypatch, tmp_path):
    path = tmp_path / "x.cfg"
    path.write_text(
        "# X\n# python -m spacy xlt train configs/x.cfg --allow-source --output OUT "
        "--paths.train T\n"
    )
    monkeypatch.setattr("spacy_xlt.cli._shipped.find_recipes", lambda: {"x": path})
    wanted = "python -m spacy xlt train my.cfg --allow-source --output training/my"
    assert train_line("my.cfg", "x") == wanted


def test_a_recipe_that_is_more_than_a_config(arguments, monkeypatch):
    line = "python -m spacy xlt self-train {start} {train} {source} --langs {all_langs}"
    recipe = Recipe("selves", "with its own labels", "", commands=(line,))
    monkeypatch.setitem(RECIPES, "selves", recipe)
    text = run_command("transfer", "selves", *arguments, code=1)
    assert "is more than a config. Give these commands, with your own for what is in" in text
    train = arguments[arguments.index("--train") + 1]
    assert text.endswith(
        f"capitals: python -m spacy xlt self-train START {train} SOURCE --langs ALL_LANGS"
    )
    named = ("--source-langs", "en", "--target-langs", "sw")
    text = run_command("transfer", "selves", *arguments, *named, code=1)
    assert text.endswith(f"START {train} {train}/en.spacy --langs en,sw")


@pytest.mark.parametrize(
    ("recipe", "more", "message"),
    [
        ("nope", [], "There is no recipe 'nope'. Recipes are:"),
        ("zero_shot", ["--start", "CORPUS"], "The recipe 'zero_shot' does not read start."),
        ("finetune", ["--start", "CORPUS"], "is not a trained pipeline: it has no config.cfg"),
        ("zero_shot", ["--encoder", "none"], "There is no 'none', which --encoder names."),
        ("zero_shot", ["--encoder", "CORPUS"], "config.json"),
        ("zero_shot", ["--dev", "none"], "There is no 'none', which --dev names."),
        ("zero_shot", ["--train", "none"], "There is no 'none', which --train names."),
        ("zero_shot", ["--source-langs", "zz"], "'zz' is not a language tag."),
        ("zero_shot", ["--source-langs", "fr"], "No labelled training document is in a language"),
        ("zero_shot", ["--training.nope", "1"], "The recipe has no setting training.nope."),
        ("zero_shot", ["--nope", "1"], "'--nope' is not an option of this command."),
        ("zero_shot", ["--output", "THERE"], "is there already. Choose another name, or add"),
    ],
)
def test_bad_arguments(arguments, corpora, tmp_path, recipe, more, message):
    there = tmp_path / "there.cfg"
    there.write_text("mine")
    places = {"CORPUS": corpora / "train", "THERE": there}
    text = run_command("transfer", recipe, *arguments, *(places.get(x, x) for x in more), code=1)
    assert message in text
    assert not (tmp_path / "made.cfg").exists() and there.read_text() == "mine"


@pytest.mark.parametrize("name", ["a b 'c' \"d\"", "ü[1]", "50 %", "#1; x"])
def test_strange_names_are_kept(arguments, corpora, tmp_path, name):
    (tmp_path / name).symlink_to(corpora / "dev")
    run_command("transfer", "zero_shot", *arguments, "--dev", tmp_path / name)
    assert made(tmp_path)["paths"]["dev"] == str(tmp_path / name)


@pytest.mark.parametrize("name", ["${paths.train}", "${nope}", "a${"])
def test_names_that_a_config_would_read_as_others(arguments, corpora, tmp_path, name):
    (tmp_path / name).symlink_to(corpora / "dev")
    text = run_command("transfer", "zero_shot", *arguments, "--dev", tmp_path / name, code=1)
    assert "cannot" in text and not (tmp_path / "made.cfg").exists()


def test_settings_of_a_config_are_replaced_or_refused():
    text = Path(__file__).parents[2].joinpath("configs", "finetune.cfg").read_text()
    adapted = adapt_recipe(text, settings={"paths.train": 'a "b"', "corpora.train.langs": ["sw"]})
    changed = set(adapted.splitlines()) - set(text.splitlines())
    assert changed == {r'train = "a \"b\""', 'langs = ["sw"]'}
    with pytest.raises(ValueError, match="The recipe has no setting corpora.train.nope. Write"):
        adapt_recipe(text, settings={"corpora.train.nope": 1})

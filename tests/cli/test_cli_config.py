import errno
from pathlib import Path

import pytest
from thinc.config import ConfigValidationError

from spacy_xlt.cli._config import explain, parse_overrides, plain_errors, read_config

RECIPE = Path(__file__).parents[2] / "configs" / "zero_shot.cfg"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "config.cfg"
        path.write_text(text, encoding="utf8")
        return path

    return write


@pytest.mark.parametrize(
    "args, overrides",
    [
        ([], {}),
        (["--paths.train", "a b"], {"paths.train": "a b"}),
        (["--paths.train=a=b", "--system.seed", "3"], {"paths.train": "a=b", "system.seed": 3}),
        (["--training.patience", "-1", "--a.b"], {"training.patience": -1, "a.b": True}),
        (["--paths.source", ""], {"paths.source": ""}),
        (["--corpora.train.langs", '["de", "sw"]'], {"corpora.train.langs": ["de", "sw"]}),
    ],
)
def test_overrides_are_those_of_spacy(args, overrides):
    given = list(args)
    assert parse_overrides(given) == overrides
    assert given == args


def test_overrides_of_the_environment_count_too(monkeypatch):
    monkeypatch.setenv("SPACY_CONFIG_OVERRIDES", "--system.seed 7")
    assert parse_overrides(["--a.b", "1"]) == {"a.b": 1, "system.seed": 7}


@pytest.mark.parametrize(
    "args", [["--bad"], ["-x"], ["value"], ["--a.b", "1", "2"], ["--bad=a.b"], ["--a.b=1", "2"]]
)
def test_other_arguments_are_refused(args):
    with pytest.raises(ValueError, match=r"is not an option .* --section.key VALUE"):
        parse_overrides(args)


def test_a_config_is_read_with_its_variables():
    config = read_config(RECIPE, {"paths.train": "/a$b/c d", "system.seed": 3})
    assert config["training"]["seed"] == "${system.seed}"
    resolved = config.interpolate()
    assert resolved["training"]["seed"] == 3
    assert resolved["corpora"]["train"]["path"] == "/a$b/c d"


def test_a_config_can_come_from_standard_input(monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(RECIPE.read_text()))
    assert read_config(Path("-"), {"paths.dev": "x"})["paths"]["dev"] == "x"


def test_overrides_may_add_what_functions_take():
    overrides = {"components.textcat.model.anything": 1, "training.max_steps": 3}
    config = read_config(RECIPE, overrides)
    assert config["components"]["textcat"]["model"]["anything"] == 1


@pytest.mark.parametrize(
    "override, message",
    [
        ("paths.trian", "no setting 'paths.trian' to override. Did you mean 'paths.train'?"),
        ("system.seeds", "Settings there: paths.train, paths.dev, paths.encoder, "),
        ("pths.x", "no setting 'pths.x' to override. "),
        ("training.dropot", "unknown key 'dropot'. Did you mean 'dropout'? Known there: "),
        ("nlp.langs", "[nlp] has an unknown key 'langs'. Did you mean 'lang'?"),
        ("initialize.foo", "[initialize] has an unknown key 'foo'."),
    ],
)
def test_unknown_overrides_are_errors(override, message):
    with pytest.raises(ValueError) as error:
        read_config(RECIPE, {override: "x"})
    assert message in str(error.value)


@pytest.mark.parametrize("section", ["nlp", "components", "training"])
def test_a_missing_section_is_named(section, write):
    text = RECIPE.read_text().replace("${training.max_steps}", "10")
    kept = [part for part in text.split("\n[") if not part.startswith((f"{section}]", section))]
    with pytest.raises(ValueError) as error:
        read_config(write("\n[".join(kept)), {})
    assert f"it lacks [{section}]. Sections found: paths, system" in str(error.value)
    assert "python -m spacy init fill-config" in str(error.value)


@pytest.mark.parametrize(
    "line", ["seed = ${system.seed}", "gpu_allocator = ${system.gpu_allocator}"]
)
def test_settings_that_spacy_never_fills_in(line, write):
    training = RECIPE.read_text().index("[training]")
    text = RECIPE.read_text()
    text = text[:training] + text[training:].replace(line, "", 1)
    with pytest.raises(ValueError, match=r"it lacks \[training\] " + line.split()[0]):
        read_config(write(text), {})


def test_an_unknown_key_in_the_file_is_an_error(write):
    text = RECIPE.read_text().replace("dropout = 0.1", "dropot = 0.1")
    with pytest.raises(ValueError, match="unknown key 'dropot'. Did you mean 'dropout'"):
        read_config(write(text), {})


@pytest.mark.parametrize(
    "content, message",
    [
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"hello", "File contains no section headers"),
        (b"[a]\nx = 1\n[a]\n", "is not a valid config. While reading"),
        (b"", "it lacks [nlp], [components], [training]. Sections found: none"),
    ],
)
def test_a_file_that_is_no_config(content, message, tmp_path):
    path = tmp_path / "config.cfg"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error, plain_errors(path):
        read_config(path, {})
    assert message in str(error.value) and "config.cfg" in str(error.value)


def test_no_file():
    with pytest.raises(ValueError, match="no config file 'nope.cfg'.*init-config zero_shot"):
        read_config(Path("nope.cfg"), {})


def test_an_unknown_variable_is_named(write):
    path = write(RECIPE.read_text().replace("${paths.encoder}", "${paths.encodr}"))
    with pytest.raises(ValueError, match=r"interpolation key 'paths.encodr'"), plain_errors(path):
        read_config(path, {}).interpolate()


def test_what_a_function_does_not_take_is_explained_with_what_it_takes():
    error = ConfigValidationError(
        config={"@readers": "x", "path": 1, "limit": 0, "limt": 1},
        errors=[{"loc": ["train", "limt"], "msg": "unexpected argument: 'limt'"}],
        title="Config error for 'x'",
        desc="More about it.",
    )
    assert explain(error, Path("a.cfg")).splitlines() == [
        "Config error for 'x' in 'a.cfg'.",
        "More about it.",
        "train -> limt: unexpected argument: 'limt'.",
        "Did you mean 'limit'? Known there: path, limit.",
    ]


@pytest.mark.parametrize(
    "error, kind, message",
    [
        (OSError(errno.ENOSPC, "No space"), OSError, "The disk is full"),
        (OSError(errno.EDQUOT, "Quota"), OSError, "The disk is full"),
        (
            OSError("Could not write: No space left on device (os error 28)"),
            OSError,
            "disk is full",
        ),
        (OSError(errno.EACCES, "denied"), OSError, "denied"),
        (RuntimeError("CUDA out of memory. Tried"), MemoryError, "Lower max_train_pieces"),
        (RuntimeError("a bug"), RuntimeError, "a bug"),
        (KeyError("[E900] Could not run"), ValueError, r"'a.cfg': \[E900\] Could not run"),
        (KeyError("a bug"), KeyError, "a bug"),
    ],
)
def test_other_errors_of_libraries(error, kind, message):
    with pytest.raises(kind, match=message), plain_errors(Path("a.cfg")):
        raise error

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from spacy.util import load_config_from_str, load_model_from_config
from typer.testing import CliRunner

from spacy_xlt.cli import _shipped, xlt_cli
from spacy_xlt.cli._shipped import find_recipes, find_shipped, get_recipe
from spacy_xlt.cli.init import adapt_recipe, init_project, make_gitignore

CHECKOUT = Path(__file__).parents[2]
RECIPES = sorted(path.stem for path in (CHECKOUT / "configs").glob("*.cfg"))


def run(*arguments):
    """Exit code and output, spaces and line breaks as one space."""
    result = CliRunner().invoke(xlt_cli, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


def contents(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_text(encoding="utf8")
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


# -- configs --------------------------------------------------------------------------------


def test_recipes_are_the_configs():
    assert list(find_recipes()) == RECIPES
    assert {"zero_shot", "finetune", "few_shot", "frozen"} <= set(RECIPES)
    code, output = run("init-config", "--help")
    assert code == 0
    assert f"Recipes: {', '.join(RECIPES)}." in output


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_written_as_it_is(recipe, tmp_path):
    out = tmp_path / "my.cfg"
    code, output = run("init-config", recipe, out)
    assert code == 0
    assert "The config is in" in output
    written = out.read_text(encoding="utf8")
    assert written == get_recipe(recipe).read_text(encoding="utf8").replace(
        f"configs/{recipe}.cfg", str(out)
    )
    assert f"train {out} --output OUT" in written.splitlines()[1]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_with_other_labels_language_and_name(recipe):
    text = get_recipe(recipe).read_text(encoding="utf8")
    adapted = adapt_recipe(text, multilabel=True, lang="de", name="my_topics")
    before, after = load_config_from_str(text), load_config_from_str(adapted)
    assert after["nlp"]["lang"] == "de"
    component = after["components"].pop("my_topics")
    assert component.pop("factory") == "xlt_textcat_multilabel"
    assert component.pop("threshold") == 0.5
    expected = before["components"].pop("textcat")
    del expected["factory"], expected["threshold"]
    assert component == expected
    assert after["components"] == before["components"]
    settings = after["initialize"]["components"]
    assert settings == {"my_topics": before["initialize"]["components"]["textcat"]}
    pipeline = [name.replace("textcat", "my_topics") for name in before["nlp"]["pipeline"]]
    assert after["nlp"]["pipeline"] == pipeline
    for section in ("paths", "system", "corpora", "training"):
        assert after[section] == before[section]
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in adapted.splitlines() if line.startswith("#")] == comments


def test_an_adapted_recipe_makes_a_pipeline():
    text = adapt_recipe(get_recipe("zero_shot").read_text(), multilabel=True, lang="de", name="x-1")
    paths = {f"paths.{name}": "x" for name in ("train", "dev", "encoder")}
    nlp = load_model_from_config(load_config_from_str(text, overrides=paths), auto_fill=True)
    assert nlp.lang == "de" and nlp.pipe_names == ["x-1"]
    assert not nlp.get_pipe("x-1").exclusive


def test_the_config_can_go_to_standard_output():
    result = CliRunner().invoke(xlt_cli, ["init-config", "frozen", "-", "--multilabel"])
    assert result.exit_code == 0
    config = load_config_from_str(result.stdout)
    assert config["components"]["textcat"]["factory"] == "xlt_textcat_multilabel"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nope", "OUT"], f"There is no recipe 'nope'. Recipes are: {', '.join(RECIPES)}."),
        (["zero_shot", "OUT", "--lang", "qq"], "Can't import language qq"),
        (["zero_shot", "OUT", "--name", "a.b"], "'a.b' cannot be the name of a component."),
        (["zero_shot", "OUT", "--name", ""], "'' cannot be the name of a component."),
        (["zero_shot", "OUT", "--name", '"'], "cannot be the name of a component."),
        (["zero_shot", "THERE"], "is there already. Choose another name, or add --force."),
        (["zero_shot", "FOLDER"], "is there already"),
        (["zero_shot", "FOLDER", "--force"], "is a directory; a file is needed."),
    ],
)
def test_bad_arguments(arguments, message, tmp_path):
    places = {"OUT": tmp_path / "o.cfg", "THERE": tmp_path / "there.cfg", "FOLDER": tmp_path / "f"}
    places["THERE"].write_text("mine")
    places["FOLDER"].mkdir()
    code, output = run("init-config", *(places.get(value, value) for value in arguments))
    assert code == 1
    assert message in output
    assert not places["OUT"].exists()
    assert places["THERE"].read_text() == "mine"


def test_a_config_that_is_there_is_replaced_if_asked(tmp_path):
    out = tmp_path / "o.cfg"
    out.write_text("mine")
    assert run("init-config", "zero_shot", out, "--force")[0] == 0
    assert "[training]" in out.read_text()


# -- projects -------------------------------------------------------------------------------


def test_a_project_is_that_of_the_checkout(tmp_path):
    code, output = run("init-project", tmp_path / "new")
    assert code == 0
    assert "The project is in" in output
    written = contents(tmp_path / "new")
    ignored = written.pop(".gitignore")
    assert set(written) == {
        "project.yml",
        "assets/README.md",
        *(f"configs/{recipe}.cfg" for recipe in RECIPES),
    }
    for name, text in written.items():
        assert text == (CHECKOUT / name).read_text(encoding="utf8")
    assert {"encoders/", "corpus/", "training/", "packages/"} <= set(ignored.splitlines())


def test_version_control_takes_what_the_project_is_and_leaves_what_it_makes(tmp_path):
    init_project(tmp_path)
    for made in ("training/x/model", "assets/data.csv", "corpus/a", "metrics/a.json"):
        (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made).write_text("x")
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    kept = subprocess.run([*git, "ls-files"], check=True, capture_output=True, text=True).stdout
    assert set(kept.split()) == {".gitignore", *find_shipped()}


def test_files_that_are_there_are_replaced_only_if_asked(tmp_path):
    (tmp_path / "project.yml").write_text("mine")
    (tmp_path / "other.txt").write_text("mine")
    code, output = run("init-project", tmp_path)
    assert code == 1
    assert "has project.yml already. Choose another directory, or replace these" in output
    assert set(contents(tmp_path)) == {"project.yml", "other.txt"}
    code, output = run("init-project", tmp_path, "--force")
    assert code == 0
    assert (tmp_path / "project.yml").read_text() == (CHECKOUT / "project.yml").read_text()
    assert (tmp_path / "other.txt").read_text() == "mine"


def test_gitignore_names_the_directories():
    text = make_gitignore("directories: [assets, corpus, my files]\n")
    assert text.splitlines()[1:] == ["corpus/", "my files/", "assets/*", "!assets/README.md"]


# -- where the files are --------------------------------------------------------------------


@pytest.fixture
def without_checkout(monkeypatch, tmp_path):
    """As if the package were not in a checkout."""
    monkeypatch.setattr(_shipped, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    return monkeypatch


def test_installed_files_are_found_through_the_package_s_metadata(without_checkout, tmp_path):
    class Entry:
        def __init__(self, path):
            self.path = Path(path)

        def as_posix(self):
            return self.path.as_posix()

        def locate(self):
            return tmp_path / "lib" / self.path

    names = ["project.yml", "configs/zero_shot.cfg"]
    for name in names:
        (tmp_path / "share/spacy_xlt" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / "share/spacy_xlt" / name)
    entries = [Entry(f"../share/spacy_xlt/{name}") for name in names] + [Entry("spacy_xlt/a.py")]
    (tmp_path / "lib").mkdir()
    without_checkout.setattr(_shipped, "files", lambda name: entries)
    found = find_shipped()
    assert list(found) == names
    assert all(path.is_file() for path in found.values())
    assert list(find_recipes()) == ["zero_shot"]
    (tmp_path / "share/spacy_xlt/project.yml").unlink()
    with pytest.raises(OSError, match=r"\(project.yml not found\). Install it again with"):
        find_shipped()


def test_an_installation_without_the_files_is_told(without_checkout):
    def no_package(name):
        raise _shipped.PackageNotFoundError(name)

    for files in (lambda name: None, no_package):
        without_checkout.setattr(_shipped, "files", files)
        code, output = run("init-project", "nowhere")
        assert code == 1
        assert "files of the project template are not where spacy-xlt was installed" in output
    assert not Path("nowhere").exists()


@pytest.mark.slow
def test_the_wheel_has_all_of_it(tmp_path):
    """Build the wheel, install it into an environment of its own, make a project there."""
    source = tmp_path / "source"
    source.mkdir()
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--", "spacy_xlt", "configs", "assets", "*.*", "LICENSE"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if (CHECKOUT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*build, str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    # What it requires comes from the environment of the tests.
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    subprocess.run([*install, "--no-index", str(wheel)], check=True, capture_output=True)
    program = "import spacy_xlt; print(spacy_xlt.__file__)"
    found = subprocess.run([python, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert str(site) in found.stdout
    made = subprocess.run(
        [python, "-m", "spacy", "xlt", "init-project", "project"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    for name, path in find_shipped().items():
        assert (tmp_path / "project" / name).read_bytes() == path.read_bytes()

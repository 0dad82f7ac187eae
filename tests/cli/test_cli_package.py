import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import spacy
import srsly
import tiny
from thinc.api import Adam
from typer.testing import CliRunner

from spacy_xlt import files
from spacy_xlt.cli import package as module
from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli.package import TEXTS, build_wheel, predict_apart, read_meta, unpack_wheel
from spacy_xlt.detection import REQUIREMENT


def run(*arguments):
    """Exit code and output, spaces and line breaks as one space."""
    result = CliRunner().invoke(xlt_cli, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="session")
def metrics(trained_dir, corpus_dir, tmp_path_factory):
    """Figures of the trained pipeline."""
    path = tmp_path_factory.mktemp("metrics") / "metrics.json"
    code, output = run("evaluate", trained_dir, corpus_dir / "dev", "--output", path)
    assert code == 0, output
    return path


@pytest.fixture(scope="session")
def made(trained_dir, metrics, tmp_path_factory):
    """Directory and output of a package with name, version and model card."""
    out = tmp_path_factory.mktemp("packages")
    before = {path: path.read_bytes() for path in trained_dir.rglob("*") if path.is_file()}
    code, output = run(
        *("package", trained_dir, out, "--name", "tiny_topics", "--version", "1.2"),
        *("--metrics", metrics),
    )
    assert code == 0, output
    assert before == {path: path.read_bytes() for path in trained_dir.rglob("*") if path.is_file()}
    return out, output


@pytest.fixture
def wheel(made):
    return made[0] / "xx_tiny_topics-1.2" / "dist" / "xx_tiny_topics-1.2-py3-none-any.whl"


def test_a_package_is_a_wheel_with_requirements_and_a_model_card(made, wheel, trained_dir):
    out, output = made
    assert "Requires: spacy-xlt>=0." in output and "spacy>=3." in output
    assert "Install it with: python -m pip install" in output
    assert [path.name for path in out.iterdir()] == ["xx_tiny_topics-1.2"]
    assert sorted(path.name for path in wheel.parents[1].iterdir()) == [
        "README.md",
        "dist",
        "meta.json",
    ]
    inner = "xx_tiny_topics/xx_tiny_topics-1.2"
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read("xx_tiny_topics-1.2.dist-info/METADATA").decode()
        card = archive.read(f"{inner}/README.md").decode()
        weights = archive.read(f"{inner}/textcat/model/model.safetensors")
    assert "Requires-Dist: spacy-xlt<" in metadata or "Requires-Dist: spacy-xlt>" in metadata
    assert "Requires-Dist: spacy" in metadata
    assert 'nlp = spacy.load("xx_tiny_topics")' in card and "tiny-bert" in card
    assert "xx\\_tiny\\_topics 1.2" in card
    assert "Swahili" in card and "Swahili" in metadata
    assert card == (wheel.parents[1] / "README.md").read_text(encoding="utf8")
    assert weights == (trained_dir / "textcat" / "model" / "model.safetensors").read_bytes()


def test_a_package_loads_in_a_clean_process_and_gives_the_same_scores(wheel, trained_dir, tmp_path):
    answer = tmp_path / "answer.json"
    code, output = run(
        *("check-package", wheel, "--pipeline", trained_dir, "--output", answer),
    )
    assert code == 0, output
    assert "loads and predicts without network, and gives the scores of the pipeline" in output
    assert "(empty)" in output and "🎉🎉🎉" in output
    result = json.loads(answer.read_text(encoding="utf8"))
    assert result["difference"] < 1e-6
    nlp = spacy.load(trained_dir)
    for row, doc in zip(result["predictions"], nlp.pipe(TEXTS), strict=True):
        assert row["text"] == doc.text
        assert row["cats"] == pytest.approx(doc.cats, abs=1e-4)


def test_a_package_is_made_again_and_replaced_as_a_whole(trained_dir, wheel, made):
    before = wheel.stat().st_ino
    code, output = run("package", trained_dir, made[0], "-n", "xx_tiny_topics", "-v", "1.2")
    assert code == 0, output
    assert wheel.stat().st_ino != before
    assert [path.name for path in made[0].iterdir()] == ["xx_tiny_topics-1.2"]
    # Without figures spaCy's own README is made.
    assert "| Feature | Description |" in (wheel.parents[1] / "README.md").read_text()


def test_a_pipeline_that_detects_languages_requires_the_detector(trained, tmp_path):
    trained.add_pipe("xlt_language", first=True)
    trained.to_disk(tmp_path / "pipeline")
    requirements = read_meta(tmp_path / "pipeline")["requirements"]
    assert requirements[0].startswith("spacy-xlt") and REQUIREMENT in requirements


def test_name_and_version_of_the_pipeline_are_taken_without_others(trained_dir, tmp_path):
    meta = read_meta(trained_dir)
    assert (meta["name"], meta["version"]) == ("pipeline", "0.0.0")
    assert meta["requirements"][0].startswith("spacy-xlt>=")
    assert meta["description"] == "Text classification in many languages"


def test_requirements_of_the_pipeline_are_kept(trained_dir, tmp_path):
    path = tmp_path / "pipeline"
    shutil.copytree(trained_dir, path)
    meta = srsly.read_json(path / "meta.json")
    meta.update(requirements=["spacy-xlt==0.0.1", "regex>=2"], description="Mine")
    srsly.write_json(path / "meta.json", meta)
    meta = read_meta(path, package_version="1.0-rc1")
    assert [r.split(">")[0] for r in meta["requirements"]] == ["spacy-xlt", "regex"]
    assert meta["description"] == "Mine"
    assert meta["version"] == "1.0rc1"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["WORK", "OUT"], "is not a trained pipeline: it has no config.cfg and meta.json."),
        (["nope", "OUT"], "'nope' is not a trained pipeline"),
        (["PIPELINE", "OUT", "--name", "a-b"], "'a-b' cannot be the name of a package."),
        (["PIPELINE", "OUT", "--name", "xx_"], "'' cannot be the name of a package."),
        (["PIPELINE", "OUT", "--version", "one"], "'one' is not a version."),
        (["PIPELINE", "OUT", "--metrics", "nope.json"], "nope.json"),
        (["PIPELINE", "OUT", "--metrics", "METRICS", "--corpus", "WORK"], "is not a corpus"),
    ],
)
def test_bad_arguments(arguments, message, trained_dir, metrics, tmp_path):
    places = {"PIPELINE": trained_dir, "METRICS": metrics, "OUT": tmp_path / "out"}
    places["WORK"] = tmp_path / "work"
    places["WORK"].mkdir()
    code, output = run("package", *(places.get(value, value) for value in arguments))
    assert code == 1
    assert message in output and "Traceback" not in output
    assert not list(places["OUT"].glob("*")) and not list(places["OUT"].glob(".*"))


def test_figures_of_another_pipeline_are_refused(trained_dir, metrics, tmp_path):
    figures = json.loads(metrics.read_text())
    other = tmp_path / "pipeline"
    shutil.copytree(trained_dir, other)
    meta = srsly.read_json(other / "meta.json")
    meta["labels"]["textcat"] = ["food", "music"]
    srsly.write_json(other / "meta.json", meta)
    code, output = run("package", other, tmp_path / "out", "--metrics", metrics)
    assert code == 1
    assert "are not of" in output and "the pipeline has ['food', 'music']" in output
    assert "Evaluate it with: python -m spacy xlt evaluate" in output
    assert figures["labels"] == list(tiny.LABELS)


def test_a_full_disk_and_a_failing_build_change_nothing(trained_dir, tmp_path, monkeypatch):
    usage = files.shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(files.shutil, "disk_usage", lambda path: usage._replace(free=1000))
        code, output = run("package", trained_dir, tmp_path / "out")
    assert code == 1 and "Not enough room on the disk" in output

    def fail(source, out):
        raise OSError("setuptools could not build the wheel: no")

    monkeypatch.setattr(module, "build_wheel", fail)
    code, output = run("package", trained_dir, tmp_path / "out")
    assert code == 1 and "setuptools could not build the wheel: no" in output
    assert list((tmp_path / "out").iterdir()) == []


def test_what_setuptools_says_is_passed_on(tmp_path):
    (tmp_path / "setup.py").write_text("raise SystemExit('something is wrong')")
    with pytest.raises(OSError, match="could not build the wheel: something is wrong. If it does"):
        build_wheel(tmp_path, tmp_path / "dist")


# -- check-package --------------------------------------------------------------------------


@pytest.fixture
def answers(monkeypatch):
    """Scores by the name of the pipeline, instead of clean processes."""
    scores = {}
    monkeypatch.setattr(module, "predict_apart", lambda name, paths: scores[Path(name).name])
    return scores


def test_scores_that_differ_are_an_error(wheel, trained_dir, answers):
    answers["xx_tiny_topics"] = [{"a": 0.25, "b": 0.75} for _ in TEXTS]
    answers["model-last"] = [{"a": 0.25, "b": 0.75 + 5e-5} for _ in TEXTS]
    assert run("check-package", wheel, "--pipeline", trained_dir)[0] == 0
    answers["model-last"][-1] = {"a": 0.25, "b": 0.7}
    code, output = run("check-package", wheel, "--pipeline", trained_dir)
    assert code == 1
    assert "gives other scores than" in output and "they differ by up to 0.05" in output
    answers["model-last"][-1] = {"a": 0.25, "b": float("nan")}
    assert run("check-package", wheel, "--pipeline", trained_dir)[0] == 1
    answers["model-last"] = [{"a": 1.0} for _ in TEXTS]
    code, output = run("check-package", wheel, "--pipeline", trained_dir)
    assert code == 1 and "has other labels than" in output


def test_a_directory_is_checked_as_it_is(trained_dir, answers):
    answers["model-last"] = [{"a": 1.0} for _ in TEXTS]
    code, output = run("check-package", trained_dir)
    assert code == 0
    assert "loads and predicts without network" in output and "gives the scores" not in output


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "There is no package"),
        (b"no archive", "is not a wheel, or is damaged."),
        ({"a.txt": "x"}, "is not a wheel, or is damaged."),
        (
            {"a-1.dist-info/METADATA": "Name: a\nRequires-Dist: nope-such>1\n"},
            "requires nope-such>1",
        ),
        (
            {"a-1.dist-info/METADATA": "Name: a\nRequires-Dist: spacy<1\n"},
            "requires spacy<1, but 3.",
        ),
    ],
)
def test_what_is_no_package_or_lacks_something(content, message, tmp_path):
    path = tmp_path / "a.whl"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in content.items():
                archive.writestr(name, text)
    code, output = run("check-package", path)
    assert code == 1
    assert message in output and "Traceback" not in output


def test_requirements_of_extras_do_not_count(tmp_path):
    path = tmp_path / "a.whl"
    metadata = 'Name: a-b\nRequires-Dist: spacy>=3\nRequires-Dist: nope; extra == "more"\n'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a-1.dist-info/METADATA", metadata)
    assert unpack_wheel(path, tmp_path / "out") == "a_b"


@pytest.mark.parametrize(
    "body, message",
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "tried to use the network"),
        ("import urllib.request; urllib.request.urlopen('http://localhost:9')", "the network"),
        ("raise ValueError('broken weights')", "ValueError: broken weights"),
        ("import sys; sys.exit(0)", "cannot be loaded and used in a clean process"),
    ],
)
def test_a_pipeline_that_fails_or_uses_the_network(body, message, tmp_path):
    """A stand-in for spaCy runs the body when a pipeline is loaded."""
    (tmp_path / "spacy.py").write_text(f"def load(name):\n    {body}\n")
    with pytest.raises(ValueError, match=message):
        predict_apart("some pipeline", [str(tmp_path)])


def test_the_clean_process_knows_nothing_of_this_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere/else")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    (tmp_path / "spacy.py").write_text(
        "import os, sys\n"
        "class Doc:\n"
        "    cats = {'path': float('/nowhere/else' in sys.path),\n"
        "            'cwd': float('' in sys.path),\n"
        "            'offline': float(os.environ['HF_HUB_OFFLINE'])}\n"
        "class NLP:\n"
        "    def pipe(self, texts):\n"
        "        assert texts[2] == '政府提高了燃油税。'\n"
        "        return [Doc]\n"
        "def load(name):\n"
        "    return NLP()\n"
    )
    assert predict_apart("x", [str(tmp_path)]) == [{"path": 0.0, "cwd": 0.0, "offline": 1.0}]


@pytest.mark.slow
def test_a_package_installs_with_pip(wheel, tmp_path):
    target = tmp_path / "target"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(target), str(wheel)], check=True, capture_output=True)
    assert predict_apart("xx_tiny_topics", [str(target)])


def test_a_package_does_not_need_peft(make_ready, tmp_path):
    """LoRA is merged; the pipeline stays as it is. A process without the library loads it."""
    nlp = make_ready(model={"adapter": {"@architectures": "spacy_xlt.LoRA.v1"}})
    for _ in range(3):
        nlp.update(tiny.make_examples(nlp), sgd=Adam(1e-2))
    pipeline = tmp_path / "pipeline"
    nlp.to_disk(pipeline)
    before = {path: path.read_bytes() for path in pipeline.rglob("*") if path.is_file()}
    code, output = run("package", pipeline, tmp_path / "out", "--name", "tiny")
    assert code == 0, output
    assert before == {path: path.read_bytes() for path in pipeline.rglob("*") if path.is_file()}
    (wheel,) = (tmp_path / "out").rglob("*.whl")
    code, output = run("check-package", wheel, "--pipeline", pipeline)
    assert code == 0, output
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    (config,) = (tmp_path / "installed").rglob("config.cfg")
    program = f"""
import sys
sys.modules["peft"] = None
import spacy
print(spacy.load({str(config.parent)!r})("jazz hier").cats)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, wanted = json.loads(done.stdout.replace("'", '"')), nlp("jazz hier").cats
    assert found == pytest.approx(wanted, abs=1e-5)

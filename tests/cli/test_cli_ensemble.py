import pytest
import spacy
from running import run_command

from spacy_xlt.cli.ensemble import split_weights
from spacy_xlt.detection import REQUIREMENT


def test_an_ensemble_of_a_pipeline_and_itself_is_the_pipeline(trained_dir, tmp_path):
    output = tmp_path / "ensemble"
    text = run_command("ensemble", trained_dir, trained_dir, "--output", output, "--weights", "1,2")
    assert "Ensemble of 2 pipelines" in text
    nlp = spacy.load(output)
    assert nlp("pizza").cats == pytest.approx(spacy.load(trained_dir)("pizza").cats, abs=1e-6)
    assert nlp.get_pipe("textcat").cfg["weights"] == pytest.approx([1 / 3, 2 / 3])
    assert str(trained_dir) not in (output / "config.cfg").read_text(encoding="utf8")


def test_a_package_will_install_what_members_need(trained, trained_dir, tmp_path):
    trained.add_pipe("xlt_language", first=True)
    trained.to_disk(tmp_path / "member")
    run_command("ensemble", trained_dir, tmp_path / "member", "-o", tmp_path / "ensemble")
    assert REQUIREMENT in spacy.load(tmp_path / "ensemble").meta["requirements"]
    nlp = spacy.blank("xx")
    nlp.add_pipe("xlt_ensemble", name="textcat")
    pipelines = [str(trained_dir), str(tmp_path / "member")]
    nlp.config["initialize"]["components"]["textcat"] = {"pipelines": pipelines}
    nlp.initialize()
    assert nlp.meta["requirements"].count(REQUIREMENT) == 1


def test_what_cannot_be_joined_is_told(trained_dir, tmp_path):
    output = tmp_path / "ensemble"
    text = run_command("ensemble", trained_dir, tmp_path / "none", "--output", output, code=1)
    assert "There is no such package or directory" in text
    assert "made of 2 or more" in run_command("ensemble", trained_dir, "-o", output, code=1)
    text = run_command(
        "ensemble", trained_dir, trained_dir, "-o", output, "--weights", "1,a", code=1
    )
    assert "allowed are numbers with commas" in text
    assert not output.exists()


def test_weights():
    assert split_weights(None) is None
    assert split_weights("1, 0.5") == [1.0, 0.5]

import pytest
import spacy
import tiny
from running import run_command
from thinc.api import Adam


@pytest.fixture
def pipeline(make_ready, tmp_path):
    nlp = make_ready(model={"adapter": {"@architectures": "spacy_xlt.LoRA.v1"}})
    nlp.update(tiny.make_examples(nlp), sgd=Adam(1e-2))
    nlp.to_disk(tmp_path / "pipeline")
    return tmp_path / "pipeline"


def test_apart_and_together_again(pipeline, encoder_dir, tmp_path):
    output = run_command("delta", "save", pipeline, tmp_path / "delta")
    assert "Delta of" in output and "xlt delta apply BASE" in output
    for _ in range(2):  # an earlier one is replaced
        output = run_command(
            "delta", "apply", encoder_dir, tmp_path / "delta", "--output", tmp_path / "made"
        )
        assert "Pipeline:" in output
    found, wanted = (spacy.load(path)("jazz hier").cats for path in (tmp_path / "made", pipeline))
    assert found == wanted


def test_another_encoder(pipeline, tmp_path):
    run_command("delta", "save", pipeline, tmp_path / "delta")
    other = tiny.make_encoder(tmp_path / "other", "roberta")
    output = run_command(
        "delta", "apply", other, tmp_path / "delta", "--output", tmp_path / "made", code=1
    )
    assert "is not the base of" in output
    assert not (tmp_path / "made").exists()


def test_nothing_else_is_replaced(pipeline, trained_dir, tmp_path):
    before = sorted(pipeline.rglob("*"))
    output = run_command("delta", "save", pipeline, pipeline, code=1)
    assert "is not a delta" in output and sorted(pipeline.rglob("*")) == before
    output = run_command("delta", "save", trained_dir, tmp_path / "delta", code=1)
    assert "encoder's own" in output and not (tmp_path / "delta").exists()
    run_command("delta", "save", pipeline, tmp_path / "delta")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("all of it")
    output = run_command(
        "delta", "apply", pipeline, tmp_path / "delta", "--output", tmp_path / "full", code=1
    )
    assert "is not a pipeline" in output
    assert (tmp_path / "full" / "thesis.txt").exists()

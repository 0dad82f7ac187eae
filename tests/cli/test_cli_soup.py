import pytest
import spacy
import tiny
import torch
from running import run_command
from thinc.api import Adam, fix_random_seed


@pytest.fixture(scope="module")
def runs(tmp_path_factory, trained_dir):
    """Directories of the trained pipeline and of the same after some more steps."""
    nlp = spacy.load(trained_dir)
    fix_random_seed(3)
    for _ in range(3):
        nlp.update(tiny.make_examples(nlp), sgd=Adam(1e-4), drop=0.1)
    path = tmp_path_factory.mktemp("runs") / "other"
    nlp.to_disk(path)
    return trained_dir, path


def weights_of(path):
    return spacy.load(path).get_pipe("textcat").training_state().weights


def test_a_soup_on_the_disk(runs, corpus_dir, tmp_path):
    out = tmp_path / "soup"
    text = run_command(
        "soup", *runs, "-o", out, "--weights", "3,1", "--dev", corpus_dir / "train.spacy"
    )
    assert "✔ Soup of 2 pipelines" in text and "not looked for" not in text
    first, second = map(weights_of, runs)
    for name, tensor in weights_of(out).items():
        torch.testing.assert_close(tensor, 0.75 * first[name] + 0.25 * second[name])
    again = tmp_path / "again"
    run_command("soup", *runs, "-o", again, "--weights", "3,1")
    files = [path / "textcat" / "model" / "model.safetensors" for path in (out, again)]
    assert files[0].read_bytes() == files[1].read_bytes()
    # a soup is a pipeline like others, also in place of one
    run_command("soup", out, again, "-o", out)
    assert tiny.accuracy(spacy.load(out), ["en"]) > 0.6


def test_without_texts_it_says_what_it_did_not_do(runs, tmp_path):
    text = run_command("soup", *runs, "-o", tmp_path / "soup")
    assert "Broken runs are not looked for. To do so, add --dev with labelled texts." in text


def test_what_cannot_be_mixed_is_told(runs, corpus_dir, tmp_path):
    out = tmp_path / "soup"
    first, second = runs
    text = run_command("soup", first, "-o", out, code=1)
    assert "made of 2 or more pipelines, not of 1" in text
    text = run_command("soup", first, tmp_path / "none", "-o", out, code=1)
    assert "There is no such package or directory" in text
    text = run_command("soup", *runs, "-o", out, "--weights", "1", code=1)
    assert "allowed are 2 numbers above 0" in text
    text = run_command("soup", *runs, "-o", out, "--dev", corpus_dir / "dev" / "de.spacy", code=1)
    assert "could not be looked at. None of the 7 texts has one of its labels" in text
    text = run_command("soup", *runs, "-o", out, "--dev", tmp_path / "none.spacy", code=1)
    assert "There is no corpus at" in text
    assert not out.exists()
    (tmp_path / "file").write_text("mine")
    text = run_command("soup", *runs, "-o", tmp_path / "file", code=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_broken_runs(runs, corpus_dir, tmp_path):
    nlp = spacy.load(runs[1])
    with torch.no_grad():
        nlp.get_pipe("textcat")._shim.classifier.head.bias[0] += 100.0
    nlp.to_disk(tmp_path / "collapsed")
    pipelines = (runs[0], tmp_path / "collapsed")
    out = tmp_path / "soup"
    text = run_command("soup", *pipelines, "-o", out, "--dev", corpus_dir / "train.spacy", code=1)
    assert "has collapsed: it answers 'food' to 100% of 27 texts, 33% of which have it" in text
    path = tmp_path / "collapsed" / "textcat" / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    text = run_command("soup", *pipelines, "-o", out, code=1)
    assert "cannot be loaded. It is damaged" in text
    assert not out.exists()

import json

import pytest

from spacy_xlt.evaluation.results import dump_json, read_evaluation

ROWS = [("en", "A", "A"), ("de", "A", "B")]


@pytest.fixture
def damage(evaluate, tmp_path):
    """Write an evaluation after a change to it; returns the path."""

    def write(change):
        value = json.loads(dump_json(evaluate(ROWS)))
        change(value)
        path = tmp_path / "figures.json"
        path.write_text(json.dumps(value), encoding="utf8")
        return path

    return write


def test_numbers_stay_on_one_line_and_text_as_it_is():
    value = {"matrix": [[1, 2], [3, 4]], "text": "a [\n 1,\n 2\n] b", "x": [0.5, -1e-9]}
    text = dump_json(value)
    assert json.loads(text) == value
    assert "[ 1, 2 ]" in text and "[ 0.5, -1e-09 ]" in text


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_json({"accuracy": float("nan")})


def test_a_sound_file_is_read(damage):
    assert read_evaluation(damage(lambda value: None))["labels"] == ["A", "B"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda v: v.pop("languages"), "languages: Field required"),
        (lambda v: v.update(format="spacy_xlt.report.v1"), "format: Input should be"),
        (lambda v: v["overall"].update(accuracy=float("nan")), "overall.accuracy"),
        (lambda v: v["overall"].update(accuracy=1.2), "less than or equal to 1"),
        (lambda v: v["overall"].update(n="7"), "overall.n: Input should be a valid integer"),
        (lambda v: v["overall"].update(n=-1), "greater than or equal to 0"),
        (lambda v: v["languages"][0].update(role="pivot"), r"languages\.0\.role"),
        (lambda v: v["languages"][0].update(interval=[0.5]), r"languages\.0\.interval"),
        (lambda v: v["signature"].update(corpora=[{"path": "x"}]), "sha256: Field required"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(damage, change, where):
    with pytest.raises(ValueError, match=f"is damaged: .*{where}.*spacy xlt evaluate PIPELINE"):
        read_evaluation(damage(change))


def test_a_matrix_of_another_size_is_refused(damage):
    path = damage(lambda v: v["overall"].update(confusion=[[1, 2, 3], [1, 2, 3]]))
    with pytest.raises(ValueError, match="confusion matrix is not 2 by 2"):
        read_evaluation(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe{}", b"[]", b"null", b'{"cats_score": 0.5}', b"[" * 5000]
)
def test_anything_else_is_refused(tmp_path, content):
    path = tmp_path / "figures.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not the result of an evaluation, or is damaged"):
        read_evaluation(path)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"no file '.*x\.json'\. Make it with: .* --output"):
        read_evaluation(tmp_path / "x.json")


def test_a_truncated_file_is_refused_at_any_length(damage):
    path = damage(lambda value: None)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is damaged"):
            read_evaluation(path)

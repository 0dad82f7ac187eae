from collections import Counter

import pytest

from spacy_xlt.corpora.label_map import (
    apply_label_map,
    check_classes_left,
    map_label,
    read_label_map,
)


@pytest.mark.parametrize(
    "name, content",
    [
        ("m.json", '{"a": "x", "b": "x", "c": null}'),
        ("m.yml", "a: x\nb: x\nc: null\n"),
        ("m.yaml", "a: x\nb: x\nc:\n"),
        ("m.tsv", "a\tx\r\n\nb\t x\nc\t\n"),
    ],
)
def test_read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content.encode())
    assert read_label_map(path) == {"a": "x", "b": "x", "c": None}


@pytest.mark.parametrize(
    "labels, mapped",
    [
        (["a"], ["x"]),
        (["a", "b"], ["x"]),
        (["c"], []),
        (["c", "b"], ["x"]),
        ([], []),
        ({"a": 0.5, "b": 0.25, "c": 0.25}, {"x": 0.75}),
        ({"a": 1.0, "b": 1.0}, {"x": 1.0}),
        ({"c": 1.0}, {}),
    ],
)
def test_renames_merges_and_drops(labels, mapped):
    assert apply_label_map(labels, {"a": "x", "b": "x", "c": None}) == mapped


@pytest.mark.parametrize(
    "rest, mapped", [("other", "other"), (None, None), ("*", "z")], ids=["merge", "drop", "keep"]
)
def test_the_rest(rest, mapped):
    assert map_label("z", {"a": "x", "*": rest}) == mapped
    assert map_label("a", {"a": "x", "*": rest}) == "x"


def test_unknown_label():
    with pytest.raises(ValueError, match="unknown label 'z': the label map does not name it"):
        apply_label_map(["a", "z"], {"a": "x"})


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("m.txt", "a x", r"is not a label map. Allowed are files that end in \.json"),
        ("m.json", "{", "is not valid JSON"),
        ("m.json", "[]", "holds no label map"),
        ("m.json", "{}", "holds no label map"),
        ("m.json", '{"a": 3}', "maps 'a' to 3. Labels are strings"),
        ("m.yml", "a: [", "is not valid YAML"),
        ("m.yml", "1: x", "maps 1 to 'x'. Labels are strings"),
        ("m.tsv", "a\tx\nb", r"m\.tsv:2: expected an old label, a tab and a new label; found 'b'"),
        ("m.tsv", "a\tx\n\ty", r"m\.tsv:2: expected an old label"),
        ("m.tsv", "a\tx\na\ty", r"m\.tsv:2: the label 'a' stands twice"),
    ],
)
def test_other_files(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_label_map(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="There is no label map"):
        read_label_map(tmp_path / "m.json")


def test_nothing_left_to_tell_apart_is_refused():
    before, merge = Counter({"a": 2, "b": 1}), {"a": "x", "b": "x"}
    with pytest.raises(ValueError, match="merges all 2 labels into 'x', which each of the 3 doc"):
        check_classes_left(merge, before, Counter({"x": 3}), 3)
    check_classes_left({"*": "*"}, before, Counter({"a": 2, "b": 1}), 3)
    check_classes_left(merge, before, Counter({"x": 2}), 3)  # one document has no label
    check_classes_left(merge, Counter({"a": 3}), Counter({"x": 3}), 3)  # there was one before
    check_classes_left({"a": "x", "b": None}, before, Counter({"x": 2}), 2)  # one was dropped

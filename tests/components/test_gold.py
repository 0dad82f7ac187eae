import numpy
import pytest
import tiny
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_xlt.components.gold import count_labels, read_gold

VOCAB = Vocab()
ABC = ["A", "B", "C"]


def example(cats, weight=None):
    doc = tiny.make_doc("some text", VOCAB, cats)
    if weight is not None:
        doc._.xlt_weight = weight
    return Example(tiny.make_doc("some text", VOCAB, {}), doc)


def read(*cats, exclusive=True, **class_weights):
    examples = [c if isinstance(c, Example) else example(c) for c in cats]
    return read_gold(examples, ABC, exclusive=exclusive, class_weights=class_weights)


def test_hard_labels():
    gold = read({"A": 0.0, "B": 1.0, "C": 0.0}, {"A": 1.0, "B": 0.0, "C": 0.0})
    assert gold.targets.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert gold.known.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert gold.weights.tolist() == [1, 1]


def test_soft_labels():
    gold = read({"A": 0.25, "B": 0.75, "C": 0.0})
    assert gold.targets.tolist() == [[0.25, 0.75, 0.0]]
    assert gold.weights.tolist() == [1.0]


@pytest.mark.parametrize("exclusive", [True, False])
def test_missing_labels_are_unknown(exclusive):
    gold = read({"A": 0.5, "C": 0.5}, exclusive=exclusive)
    assert gold.known.tolist() == [[1, 0, 1]]


def test_a_certain_label_alone_says_no_to_all_others_if_they_exclude_each_other():
    assert read({"B": 1.0}).known.tolist() == [[1, 1, 1]]
    assert read({"B": 0.9}).known.tolist() == [[0, 1, 0]]
    assert read({"B": 1.0}, exclusive=False).known.tolist() == [[0, 1, 0]]


def test_labels_of_others_do_not_matter():
    gold = read({"X": 1.0, "B": 1.0}, {"X": 1.0})
    assert gold.known.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert gold.weights.tolist() == [1, 0]


def test_documents_without_labels_weigh_nothing():
    assert read({}).weights.tolist() == [0.0]


def test_weights():
    gold = read(example({"A": 1.0}, weight=2.5), example({"B": 1.0}, weight=0.0))
    assert gold.weights.tolist() == [2.5, 0.0]
    gold = read(example({"A": 1.0}, weight=2.0), {"A": 0.25, "B": 0.75}, {"C": 1.0}, A=3.0, B=0.5)
    assert gold.weights.tolist() == [6.0, 0.25 * 3 + 0.75 * 0.5, 1.0]
    none = read({"A": 0.0, "B": 0.0}, exclusive=False, A=3.0)
    assert none.weights.tolist() == [1.0]


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_impossible_probabilities(value):
    with pytest.raises(ValueError, match=r"Label 'B' has the value .* 'some text'\. Allowed are"):
        read({"A": 1.0, "B": value})


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_impossible_weights(weight):
    with pytest.raises(ValueError, match=r"xlt_weight` is .* 'some text'\. Allowed"):
        read(example({"A": 1.0}, weight=weight))


def test_selection_of_rows():
    gold = read({"A": 1.0}, {"B": 1.0}, {"C": 1.0}).select([2, 0])
    assert gold.targets.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert gold.known.shape == (2, 3) and gold.weights.shape == (2,)


def test_no_examples():
    gold = read_gold([], ABC, exclusive=True, class_weights={})
    assert gold.targets.shape == (0, 3) and gold.weights.shape == (0,)
    assert gold.targets.dtype == gold.known.dtype == gold.weights.dtype == numpy.float32


def test_counts():
    examples = [example(c) for c in ({"A": 1.0, "B": 0.0}, {"A": 0.2}, {}, {"C": 0.0})]
    assert count_labels(examples) == {"A": 2, "B": 0, "C": 0}

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.corpora.class_mix import count_groups, weigh_labels
from spacy_xlt.corpora.sampling import Candidate


def documents(labels, lang="sw"):
    return [Candidate("", [label], lang) for label in labels]


def shares(candidates, weights):
    """What labels count beside each other."""
    totals = {}
    for candidate, weight in zip(candidates, weights, strict=True):
        label = candidate.labels[0]
        totals[label] = totals.get(label, 0.0) + weight
    return {label: total / sum(weights) for label, total in totals.items()}


def test_even_drawn_labels_count_as_in_the_source():
    shots = documents("aabb")
    weights = weigh_labels(shots, {"a": 30, "b": 10})
    assert weights == [1.5, 1.5, 0.5, 0.5]
    assert shares(shots, weights) == {"a": 0.75, "b": 0.25}


def test_without_a_goal_all_labels_count_the_same():
    assert weigh_labels(documents("aaab")) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])


def test_each_language_keeps_what_it_counts():
    both = [*documents("aab", "sw"), *documents("abbb", "yo")]
    weights = weigh_labels(both)
    assert weights == pytest.approx([0.75, 0.75, 1.5, 2, 2 / 3, 2 / 3, 2 / 3])


def test_labels_that_the_source_lacks_keep_their_share():
    shots = documents("aabbcc")
    weights = weigh_labels(shots, {"a": 3, "b": 1, "c": 0})
    assert shares(shots, weights) == pytest.approx({"a": 0.5, "b": 1 / 6, "c": 1 / 3})
    assert weigh_labels(documents("cc"), {"a": 3}) == [1.0, 1.0]


def test_of_several_labels_the_mean_counts_and_none_is_a_label_too():
    both = [Candidate("", ["a", "b"], "sw"), Candidate("", [], "sw"), *documents("a")]
    assert count_groups(both) == {"a": 2, "b": 1, "": 1}
    raw = [(4 / 3 * 0.5 + 4 / 3) / 2, 4 / 3, 4 / 3 * 0.5]
    assert weigh_labels(both) == pytest.approx([3 * x / sum(raw) for x in raw])


def test_no_documents():
    assert weigh_labels([]) == []


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["sw", "yo"])), min_size=1),
    st.one_of(st.none(), st.dictionaries(st.sampled_from("abcde"), st.integers(0, 50))),
)
def test_weights_are_one_on_average(rows, wanted):
    candidates = [Candidate("", [label], lang) for label, lang in rows]
    weights = weigh_labels(candidates, wanted)
    for lang in {lang for _, lang in rows}:
        own = [w for w, (_, other) in zip(weights, rows, strict=True) if other == lang]
        assert min(own) > 0 and sum(own) / len(own) == pytest.approx(1.0)

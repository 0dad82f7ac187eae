"""Where the component's labels come from, and what happens to its head when they change."""

import json
import warnings
from contextlib import contextmanager

import numpy
import pytest
import spacy
import tiny
import torch
from spacy.training import Example
from thinc.api import Adam

FOOD, MUSIC, TRAVEL = tiny.LABELS


def initialize(nlp, examples=None, *, name="textcat", **settings):
    """`nlp.initialize` with settings of [initialize.components.<name>]."""
    nlp.config["initialize"]["components"] = {name: settings}
    examples = tiny.make_examples(nlp) if examples is None else examples
    return nlp.initialize(lambda: examples)


def labelled(nlp, *rows):
    """Examples of (text, cats)."""
    examples = []
    for text, cats in rows:
        doc = nlp.make_doc(text)
        doc.cats = cats
        examples.append(Example(nlp.make_doc(text), doc))
    return examples


def labels(nlp):
    return list(nlp.get_pipe("textcat").labels)


def head(nlp):
    tensors = nlp.get_pipe("textcat").model.shims[0].tensors()
    return tensors["head.weight"], tensors["head.bias"]


@contextmanager
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# -- labels of the data ---------------------------------------------------------------------


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_labels_of_the_examples_are_sorted(make_nlp, factory):
    nlp = make_nlp(factory)
    initialize(nlp, list(reversed(tiny.make_examples(nlp))))
    assert labels(nlp) == [FOOD, MUSIC, TRAVEL]
    assert nlp.get_pipe("textcat").label_data == [FOOD, MUSIC, TRAVEL]
    assert all(label in nlp.vocab.strings for label in tiny.LABELS)
    assert nlp.get_pipe("textcat").model.get_dim("nO") == 3


def test_declared_labels_keep_their_order(make_nlp):
    nlp = make_nlp()
    initialize(nlp, labels=[TRAVEL, FOOD, MUSIC, FOOD])
    assert labels(nlp) == [TRAVEL, FOOD, MUSIC]
    # and the probe fits the rows to them
    assert tiny.accuracy(nlp, ["en"]) > 0.6


def test_labels_read_from_a_file(make_nlp, tmp_path):
    """As `spacy init labels` writes them; spaCy hands an iterator that can be read once."""
    path = tmp_path / "textcat.json"
    path.write_text(json.dumps([MUSIC, TRAVEL, FOOD]), encoding="utf8")
    nlp = make_nlp()
    initialize(nlp, labels={"@readers": "spacy.read_labels.v1", "path": str(path)})
    assert labels(nlp) == [MUSIC, TRAVEL, FOOD]


def test_declared_labels_without_any_example_are_an_error(make_nlp):
    nlp = make_nlp()
    with pytest.raises(ValueError, match=r"declared labels \['sport'\] of 'textcat'\. Labels with"):
        initialize(nlp, labels=[*tiny.LABELS, "sport"])


def test_a_declared_label_that_is_never_true_is_an_error(make_nlp):
    nlp = make_nlp("xlt_textcat_multilabel")
    examples = labelled(nlp, ("pizza", {FOOD: 1.0, "sport": 0.0}), ("taxi", {FOOD: 0.0}))
    with pytest.raises(ValueError, match=r"declared labels \['sport'\]"):
        initialize(nlp, examples, labels=[FOOD, "sport"])


@pytest.mark.parametrize("declared", [None, tiny.LABELS])
@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_a_corpus_without_labels_is_an_error(make_nlp, factory, declared):
    nlp = make_nlp(factory)
    examples = labelled(nlp, ("pizza", {}), ("taxi", {}))
    with pytest.raises(ValueError, match=r"(found the labels \[\] in 2|No training example has)"):
        initialize(nlp, examples, labels=declared)


def test_labels_that_are_not_declared_are_ignored_with_a_warning(make_nlp):
    nlp = make_nlp()
    with pytest.warns(UserWarning, match=r"have labels \['travel'\], which 'textcat' does not dec"):
        initialize(nlp, labels=[MUSIC, FOOD])
    assert labels(nlp) == [MUSIC, FOOD]


def test_one_label(make_nlp):
    nlp = make_nlp()
    examples = labelled(nlp, ("pizza", {FOOD: 1.0}), ("taxi", {FOOD: 0.0}))
    with pytest.raises(ValueError, match=r"found the labels \['food'\] in 2 .*needs at least 2"):
        initialize(nlp, examples)
    nlp = make_nlp("xlt_textcat_multilabel")
    initialize(nlp, labelled(nlp, ("pizza", {FOOD: 1.0}), ("taxi", {FOOD: 0.0})))
    assert nlp("pizza").cats[FOOD] > nlp("taxi").cats[FOOD]


def test_declared_labels_need_no_examples_to_assemble(make_nlp):
    """`spacy assemble` initializes with one unlabelled example."""
    nlp = make_nlp()
    nlp.config["initialize"]["components"] = {"textcat": {"labels": tiny.LABELS}}
    nlp.initialize()
    assert nlp("pizza").cats == pytest.approx(dict.fromkeys(tiny.LABELS, 1 / 3))
    with pytest.raises(ValueError, match=r"found the labels \[\] in 1 training examples"):
        make_nlp().initialize()


def test_labels_added_before_come_first(make_nlp):
    nlp = make_nlp()
    pipe = nlp.get_pipe("textcat")
    assert [pipe.add_label(TRAVEL), pipe.add_label(TRAVEL), pipe.add_label(MUSIC)] == [1, 0, 1]
    initialize(nlp)
    assert labels(nlp) == [TRAVEL, MUSIC, FOOD]
    nlp = make_nlp()
    for label in ("a", "b"):
        nlp.get_pipe("textcat").add_label(label)
    nlp.initialize()
    assert labels(nlp) == ["a", "b"] and nlp("x").cats == pytest.approx({"a": 0.5, "b": 0.5})


def test_initializing_again_forgets_the_old_labels(make_nlp):
    nlp = make_nlp()
    initialize(nlp)
    initialize(nlp, labelled(nlp, ("yes", {"y": 1.0, "n": 0.0}), ("no", {"y": 0.0, "n": 1.0})))
    assert labels(nlp) == ["n", "y"] and len(nlp("yes").cats) == 2


def test_positive_label(make_nlp):
    nlp = make_nlp()
    rows = [("pizza", {FOOD: 1.0, MUSIC: 0.0}), ("jazz", {FOOD: 0.0, MUSIC: 1.0})]
    initialize(nlp, labelled(nlp, *rows), positive_label=MUSIC)
    assert nlp.evaluate(labelled(nlp, *rows))["cats_score_desc"] == "F (music)"
    for wrong, data in ((TRAVEL, labelled(nlp, *rows)), (FOOD, tiny.make_examples(nlp))):
        with pytest.raises(ValueError, match=rf"positive_label is '{wrong}'.*one of exactly two"):
            initialize(make_nlp(), data, positive_label=wrong)


def test_class_weights_of_labels_it_does_not_know(make_nlp):
    with pytest.raises(ValueError, match=r"class_weights .*\['sport'\].*\['food', 'music', 'trav"):
        initialize(make_nlp(class_weights={"sport": 2.0, FOOD: 1.0}))


def test_source_languages(make_nlp):
    nlp = make_nlp()
    initialize(nlp, tiny.make_examples(nlp, ["sw", "en"]))
    cfg = nlp.get_pipe("textcat").cfg
    assert (cfg["train_langs"], cfg["tuned_langs"]) == (["en", "sw"], [])
    initialize(nlp, train_langs=["swh", "zho_Hans"])
    assert nlp.get_pipe("textcat").cfg["train_langs"] == ["sw", "zh"]
    with pytest.raises(ValueError, match="'english' is not a language tag"):
        initialize(nlp, train_langs=["english"])
    initialize(nlp, labelled(nlp, ("pizza", {"a": 1.0, "b": 0.0}), ("x", {"b": 1.0, "a": 0.0})))
    assert nlp.get_pipe("textcat").cfg["train_langs"] == []


def test_a_setting_that_does_not_exist(make_nlp):
    with pytest.raises(ValueError, match="start_form"):
        initialize(make_nlp(), start_form="x")


# -- a label more ---------------------------------------------------------------------------


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_a_label_can_be_added_to_a_trained_component(make_ready, factory):
    nlp = make_ready(factory)
    pipe = nlp.get_pipe("textcat")
    nlp.update(tiny.make_examples(nlp), sgd=Adam(4e-4))
    texts = ["pizza", "taxi today", ""]
    before = [doc.cats for doc in nlp.pipe(texts)]
    weight, bias = head(nlp)
    assert pipe.add_label("sport") == 1 and pipe.add_label("sport") == 0
    assert pipe.labels == (FOOD, MUSIC, TRAVEL, "sport")
    assert torch.equal(head(nlp)[0][:3], weight) and torch.equal(head(nlp)[1][:3], bias)
    for doc, old in zip(nlp.pipe(texts), before, strict=True):
        assert list(doc.cats) == [*tiny.LABELS, "sport"]
        if factory == "xlt_textcat_multilabel":
            assert doc.cats == pytest.approx({**old, "sport": 0.5})
        else:
            assert sum(doc.cats.values()) == pytest.approx(1.0, abs=1e-5)
            ratios = [doc.cats[x] / old[x] for x in old]
            assert ratios == pytest.approx([ratios[0]] * 3, rel=1e-4)
    # and it can learn the new one
    cats = {**dict.fromkeys(tiny.LABELS, 0.0), "sport": 1.0}
    examples = labelled(nlp, ("we want football", cats))
    first = nlp("we want football").cats["sport"]
    for _ in range(5):
        nlp.update(examples, sgd=Adam(4e-4))
    assert nlp("we want football").cats["sport"] > first
    again = spacy.blank("xx").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert again("taxi").cats == nlp("taxi").cats


@pytest.mark.parametrize("label", [1, None, b"x"])
def test_a_label_is_a_string(make_nlp, label):
    with pytest.raises(ValueError, match=r"must be a string, not (int|NoneType|bytes)"):
        make_nlp().get_pipe("textcat").add_label(label)


# -- starting from a trained pipeline ---------------------------------------------------------


def rows_of(trained, names):
    index = {label: i for i, label in enumerate(tiny.LABELS)}
    weight, bias = head(trained)
    return weight[[index[n] for n in names]], bias[[index[n] for n in names]]


def encoder_of(nlp):
    tensors = nlp.get_pipe("textcat").model.shims[0].tensors()
    return {name: tensor for name, tensor in tensors.items() if name.startswith("encoder.")}


def same_encoder(a, b):
    a, b = encoder_of(a), encoder_of(b)
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_starting_from_a_pipeline_gives_its_scores(make_nlp, trained, trained_dir):
    nlp = make_nlp(encoder={"path": None, "window_pieces": 256, "overlap_pieces": 32})
    initialize(nlp, start_from=str(trained_dir))
    assert same_encoder(nlp, trained)
    texts = ["pizza for everybody", "这里有taxi吗", ""]
    for a, b in zip(nlp.pipe(texts), trained.pipe(texts), strict=True):
        assert a.cats == b.cats
    assert nlp.get_pipe("textcat").cfg["train_langs"] == ["en"]


def test_everything_but_the_weights_comes_from_the_new_config(make_nlp, trained_dir):
    nlp = make_nlp(model={"freeze": 1, "head_rate_factor": 5.0}, name="other")
    initialize(nlp, name="other", start_from=str(trained_dir), train_langs=["sw"])
    shim = nlp.get_pipe("other").model.shims[0]
    assert (shim.settings.freeze, shim.settings.head_rate_factor) == (1, 5.0)
    assert any(".layer.0." in name for name in shim.frozen_names())
    assert nlp.get_pipe("other").cfg["train_langs"] == ["sw"]


def test_shared_labels_keep_their_rows_and_new_ones_start_at_zero(make_nlp, trained, trained_dir):
    nlp = make_nlp()
    examples = [*tiny.make_examples(nlp), *labelled(nlp, ("football", {"sport": 1.0}))]
    with no_warnings():
        initialize(
            nlp, examples, labels=["sport", TRAVEL, FOOD, MUSIC], start_from=str(trained_dir)
        )
    weight, bias = head(nlp)
    wanted_weight, wanted_bias = rows_of(trained, [TRAVEL, FOOD, MUSIC])
    assert (weight[0] == 0.0).all() and bias[0] == 0.0
    assert torch.equal(weight[1:], wanted_weight) and torch.equal(bias[1:], wanted_bias)


def test_without_declared_labels_the_old_order_comes_first(make_nlp, trained, trained_dir):
    nlp = make_nlp()
    examples = [
        *tiny.make_examples(nlp),
        *labelled(nlp, ("football", {"another": 1.0}), ("tennis", {"sport": 1.0})),
    ]
    initialize(nlp, examples, start_from=str(trained_dir))
    assert labels(nlp) == [*tiny.LABELS, "another", "sport"]
    assert torch.equal(head(nlp)[0][:3], head(trained)[0])


def test_labels_without_examples_are_dropped_with_a_warning(make_nlp, trained, trained_dir):
    nlp = make_nlp()
    examples = labelled(nlp, ("pizza", {FOOD: 1.0}), ("taxi", {TRAVEL: 1.0}))
    with pytest.warns(UserWarning, match=r"labels \['music'\] of the pipeline started from; 'text"):
        initialize(nlp, examples, start_from=str(trained_dir))
    assert labels(nlp) == [FOOD, TRAVEL]
    assert torch.equal(head(nlp)[0], rows_of(trained, [FOOD, TRAVEL])[0])


def test_declared_labels_of_the_old_pipeline_need_no_examples(make_nlp, trained, trained_dir):
    nlp = make_nlp()
    examples = labelled(nlp, ("pizza", {FOOD: 1.0}), ("taxi", {TRAVEL: 1.0}))
    initialize(nlp, examples, labels=tiny.LABELS, start_from=str(trained_dir))
    assert torch.equal(head(nlp)[0], head(trained)[0])


def test_a_wholly_new_head(make_nlp, trained, trained_dir):
    nlp = make_nlp()
    initialize(nlp, start_from=str(trained_dir), new_head=True)
    assert same_encoder(nlp, trained)
    assert not torch.equal(head(nlp)[0], head(trained)[0])
    assert tiny.accuracy(nlp, ["en"]) > 0.6
    with pytest.raises(ValueError, match=r"declared labels \['sport'\]"):
        initialize(make_nlp(), labels=["sport", FOOD], start_from=str(trained_dir), new_head=True)


def test_wholly_other_labels_get_a_new_head(make_nlp, trained, trained_dir):
    nlp = make_nlp()
    rows = [("yes yes", {"y": 1.0, "n": 0.0}), ("no no no", {"y": 0.0, "n": 1.0})]
    with pytest.warns(UserWarning, match="drops them"):
        initialize(nlp, labelled(nlp, *rows), start_from=str(trained_dir))
    assert same_encoder(nlp, trained) and labels(nlp) == ["n", "y"]
    assert nlp("yes yes").cats["y"] > 0.5 > nlp("no no no").cats["y"]


def test_from_exclusive_to_independent_labels(make_nlp, trained, trained_dir):
    nlp = make_nlp("xlt_textcat_multilabel")
    initialize(nlp, start_from=str(trained_dir))
    assert torch.equal(head(nlp)[0], head(trained)[0])
    assert not nlp.get_pipe("textcat").exclusive


def test_training_on_leaves_the_first_stage_alone(make_nlp, trained, trained_dir):
    nlp = make_nlp(model={"freeze": "none"})
    examples = tiny.make_examples(nlp, ["sw"])
    nlp.config["initialize"]["components"] = {"textcat": {"start_from": str(trained_dir)}}
    nlp.initialize(lambda: examples)
    before = tiny.accuracy(nlp, ["sw"])
    files = {p: p.read_bytes() for p in trained_dir.rglob("*") if p.is_file()}
    for _ in range(10):
        nlp.update(examples, sgd=Adam(4e-4))
    assert tiny.accuracy(nlp, ["sw"]) > before
    assert {p: p.read_bytes() for p in trained_dir.rglob("*") if p.is_file()} == files
    cfg = nlp.get_pipe("textcat").cfg
    assert (cfg["train_langs"], cfg["tuned_langs"]) == (["en"], ["sw"])


def test_the_start_of_a_second_stage_is_the_first(make_nlp, trained, trained_dir):
    """Labels that the first stage does not know are those of the second alone."""
    nlp = make_nlp(model={"start_share": 0.25})
    examples = [*tiny.make_examples(nlp), *labelled(nlp, ("football", {"sport": 1.0}))]
    declared = ["sport", TRAVEL, FOOD, MUSIC]
    initialize(nlp, examples, labels=declared, start_from=str(trained_dir))
    for _ in range(3):
        nlp.update(examples, sgd=Adam(4e-4))
    reached = nlp.get_pipe("textcat").training_state().weights
    for tensor, name, start in zip(
        head(nlp),
        ("head.weight", "head.bias"),
        rows_of(trained, [TRAVEL, FOOD, MUSIC]),
        strict=True,
    ):
        assert torch.equal(tensor[0], reached[name][0]) and tensor[0].any()
        wanted = 0.25 * start + 0.75 * reached[name][1:]
        torch.testing.assert_close(tensor[1:], wanted, atol=1e-7, rtol=1e-6)
    first, mixed = encoder_of(trained), encoder_of(nlp)
    for name in set(mixed) & set(reached):
        wanted = 0.25 * first[name] + 0.75 * reached[name]
        torch.testing.assert_close(mixed[name], wanted, atol=1e-7, rtol=1e-6)


def test_a_label_that_is_added_leaves_the_scores_of_the_others(make_ready):
    nlp = make_ready(model={"start_share": 0.5})
    pipe, examples = nlp.get_pipe("textcat"), tiny.make_examples(nlp)
    nlp.update(examples, sgd=Adam(4e-4))
    before = head(nlp)
    pipe.add_label("sport")
    for tensor, old in zip(head(nlp), before, strict=True):
        assert torch.equal(tensor[:3], old) and not tensor[3].any()
    nlp.update(examples, sgd=Adam(4e-4))
    reached = pipe.training_state().weights["head.weight"]
    weight = head(nlp)[0]
    torch.testing.assert_close(weight[:3], 0.5 * (before[0] + reached[:3]), atol=1e-7, rtol=1e-6)
    assert torch.equal(weight[3], reached[3])


# -- training texts that vote ---------------------------------------------------------------

VOTING = {"freeze": "encoder", "neighbours": 3, "neighbour_share": 0.9}


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_training_texts_vote_on_what_is_like_them(make_ready, factory):
    nlp = make_ready(factory, model=VOTING, probe_strength=0.0)
    cats = nlp("pizza for everybody").cats
    assert cats["food"] > 0.8 and max(cats["music"], cats["travel"]) < 0.1
    assert tiny.accuracy(nlp, ["en"]) == 1.0


def test_an_added_label_gets_no_votes(make_ready):
    nlp = make_ready(model=VOTING)
    before = nlp("pizza for everybody").cats
    nlp.get_pipe("textcat").add_label("sport")
    cats = nlp("pizza for everybody").cats
    assert before["food"] > cats["food"] > cats["sport"] > 0.0
    rest = {label: value / (1.0 - cats["sport"]) for label, value in cats.items()}
    assert {label: rest[label] for label in before} == pytest.approx(before, abs=1e-5)


def test_a_second_stage_remembers_its_own_texts(make_nlp, make_ready, tmp_path):
    make_ready(model=VOTING).to_disk(tmp_path)
    nlp = make_nlp(model=VOTING)
    examples = [*tiny.make_examples(nlp, ["sw"]), *labelled(nlp, ("football", {"sport": 1.0}))]
    initialize(nlp, examples, start_from=str(tmp_path))
    assert labels(nlp) == [*tiny.LABELS, "sport"]
    assert nlp("football").cats["sport"] > 0.5
    tuned = make_nlp()
    initialize(tuned, examples, start_from=str(tmp_path))
    assert tuned.get_pipe("textcat")._shim.neighbours is None
    tuned.update(examples, sgd=Adam(1e-4))
    assert set(tuned("football").cats) == {*tiny.LABELS, "sport"}


def test_without_labelled_texts_none_vote(make_nlp):
    nlp = make_nlp(model=VOTING)
    initialize(nlp, labelled(nlp, ("football", {})), labels=["a", "b"])
    assert nlp("football").cats == pytest.approx({"a": 0.5, "b": 0.5})


# -- spelling -------------------------------------------------------------------------------

SPELLING = {"ngram_share": 0.9}


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_the_spelling_of_training_texts_counts(make_ready, factory):
    nlp = make_ready(factory, model=SPELLING, probe_strength=0.0)
    assert nlp("Pizza!").cats["food"] > max(nlp("Pizza!").cats["music"], 0.3)
    assert tiny.accuracy(nlp, ["en"]) == 1.0


def test_an_added_label_has_no_spelling(make_ready):
    nlp = make_ready(model=SPELLING)
    before = nlp("pizza for everybody").cats
    nlp.get_pipe("textcat").add_label("sport")
    cats = nlp("pizza for everybody").cats
    rest = {label: value / (1.0 - cats["sport"]) for label, value in cats.items()}
    assert {label: rest[label] for label in before} == pytest.approx(before, abs=1e-5)


def test_a_second_stage_learns_the_spelling_of_its_own_texts(make_nlp, make_ready, tmp_path):
    make_ready(model=SPELLING).to_disk(tmp_path)
    nlp = make_nlp(model=SPELLING)
    examples = [*tiny.make_examples(nlp, ["sw"]), *labelled(nlp, ("football", {"sport": 1.0}))]
    initialize(nlp, examples, start_from=str(tmp_path))
    assert max(nlp("football").cats, key=nlp("football").cats.get) == "sport"
    tuned = make_nlp()
    initialize(tuned, examples, start_from=str(tmp_path))
    assert tuned.get_pipe("textcat")._shim.ngrams is None


def shares_of(nlp):
    """What spelling counts in a text of each language."""
    texts = [tiny.SENTENCES[lang][0].format("jazz") for lang in ("en", "de", "sw")]
    shim = nlp.get_pipe("textcat")._shim
    found = shim.ngrams.shares(texts, share=shim.settings.ngram_share)
    return dict(zip(("en", "de", "sw"), found.tolist(), strict=True))


def make_swapped(nlp, langs):
    """Examples of which those in Swahili have other labels than the same words elsewhere."""
    other = dict(zip(tiny.LABELS, [*tiny.LABELS[1:], tiny.LABELS[0]], strict=True))
    examples = tiny.make_examples(nlp, langs)
    for eg in examples:
        if eg.reference._.xlt_lang == "sw":
            eg.reference.cats = {other[label]: value for label, value in eg.reference.cats.items()}
    return examples


@pytest.mark.parametrize("settings", [{}, {"refit_head": True}])
def test_what_spelling_counts_is_measured_in_new_languages(make_nlp, trained_dir, settings):
    nlp = make_nlp(model={"ngram_share": 0.3})
    examples = make_swapped(nlp, ["en", "de", "sw"])
    initialize(nlp, examples, start_from=str(trained_dir), **settings)
    found = shares_of(nlp)
    assert found["en"] == pytest.approx(0.3, abs=0.05)
    assert found["sw"] > max(found["de"], 0.4)


@pytest.mark.parametrize(
    "share, settings",
    [
        (0.3, {}),
        (1.0, {"start": True}),
        (0.3, {"start": True, "labels": [*tiny.LABELS, "sport"]}),
    ],
)
def test_where_it_cannot_be_measured_spelling_counts_as_set(make_nlp, trained_dir, share, settings):
    nlp = make_nlp(model={"ngram_share": share})
    examples = make_swapped(nlp, ["en", "sw"])
    if "labels" in settings:
        examples += labelled(nlp, ("football", {"sport": 1.0}))
    start = str(trained_dir) if settings.get("start") else None
    initialize(nlp, examples, start_from=start)
    assert list(shares_of(nlp).values()) == pytest.approx([share] * 3)


def test_languages_that_were_learned_before_are_not_new(make_nlp, trained_dir, tmp_path):
    nlp = make_nlp(model={"ngram_share": 0.3})
    initialize(nlp, make_swapped(nlp, ["sw"]), start_from=str(trained_dir))
    assert shares_of(nlp)["sw"] > 0.4
    nlp.to_disk(tmp_path)
    again = make_nlp(model={"ngram_share": 0.3})
    initialize(again, make_swapped(again, ["sw"]), start_from=str(tmp_path))
    assert list(shares_of(again).values()) == pytest.approx([0.3] * 3)


def test_without_labelled_texts_there_is_no_spelling(make_nlp):
    nlp = make_nlp(model=SPELLING)
    initialize(nlp, labelled(nlp, ("football", {})), labels=["a", "b"])
    assert nlp("football").cats == pytest.approx({"a": 0.5, "b": 0.5})


def test_nothing_to_start_from(make_nlp, tmp_path):
    with pytest.raises(ValueError, match=r"start_from is .*nowhere', which is not a trained pipe"):
        initialize(make_nlp(), start_from=str(tmp_path / "nowhere"))


def test_a_pipeline_of_another_kind(make_nlp, tmp_path):
    stock = spacy.blank("xx")
    stock.add_pipe("textcat")
    stock.initialize(lambda: tiny.make_examples(stock))
    stock.to_disk(tmp_path)
    with pytest.raises(
        ValueError, match=r"components \['textcat'\]; 'textcat' can start from .*\["
    ):
        initialize(make_nlp(), start_from=str(tmp_path))


def test_starting_needs_no_encoder_directory_and_an_empty_path_means_none(make_nlp, trained_dir):
    nlp = make_nlp(encoder={"path": None})
    initialize(nlp, start_from=str(trained_dir))
    assert numpy.isfinite(list(nlp("pizza").cats.values())).all()
    with pytest.raises(ValueError, match=r"No encoder is set"):
        initialize(nlp, start_from=None)

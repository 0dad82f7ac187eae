import dataclasses

import pytest
import spacy
import tiny
import torch
from thinc.api import Adam, fix_random_seed

from spacy_xlt.languages import get_doc_language
from spacy_xlt.transfer.soup import Answers, check_answers, make_soup, read_answers

NAMES = ["first", "second"]
FINE = Answers(n_texts=100, accuracy=0.9, commonest="food", share=0.3, gold_share=0.3)


@pytest.fixture
def make_runs(make_ready):
    """Two runs from one start, with other seeds."""

    def make(*args, steps=4, **kwargs):
        runs = []
        for seed in (1, 2):
            nlp = make_ready(*args, **kwargs)
            fix_random_seed(seed)
            for _ in range(steps):
                nlp.update(tiny.make_examples(nlp), sgd=Adam(1e-4), drop=0.1)
            runs.append(nlp)
        return runs

    return make


def weights_of(nlp):
    return nlp.get_pipe("textcat").training_state().weights


def test_a_soup_is_a_pipeline_with_the_mean_of_the_weights(make_runs, tmp_path):
    runs = make_runs()
    first, second = ({k: w.clone() for k, w in weights_of(run).items()} for run in runs)
    soup = make_soup(runs, names=NAMES, weights=[3, 1])
    assert soup is runs[0]
    for name, tensor in weights_of(soup).items():
        torch.testing.assert_close(tensor, 0.75 * first[name] + 0.25 * second[name])
        assert torch.equal(weights_of(runs[1])[name], second[name])
    soup.to_disk(tmp_path)
    assert spacy.load(tmp_path)("pizza").cats == soup("pizza").cats


def test_what_belonged_to_a_run_is_gone(make_runs):
    runs = make_runs()
    for run, tuned in zip(runs, ["sw", "de"], strict=True):
        pipe = run.get_pipe("textcat")
        pipe.set_calibration({"temperatures": {"": 2.0}})
        pipe.set_forecasts({"fr": {"expected": 0.5, "low": 0.4, "high": 0.6}})
        pipe.cfg["tuned_langs"] = [tuned]
        run.meta["performance"] = {"cats_acc": 0.5}
    soup = make_soup(runs, names=NAMES)
    cfg = soup.get_pipe("textcat").cfg
    assert cfg["calibration"] == {} and cfg["forecasts"] == {}
    assert cfg["train_langs"] == ["en"] and cfg["tuned_langs"] == ["de", "sw"]
    assert soup.meta["performance"] == {}


def test_equal_runs_give_themselves(make_runs):
    run, _ = make_runs()
    texts = ["pizza today", "taxi", ""]
    before = [doc.cats for doc in run.pipe(texts)]
    assert [doc.cats for doc in make_soup([run, run], names=NAMES).pipe(texts)] == before


def test_a_run_and_its_start_are_the_start_share(make_ready):
    """WiSE-FT after training, and as a setting of training."""
    start, run, other = make_ready(), make_ready(), make_ready(model={"start_share": 0.25})
    for nlp in (run, other):
        for _ in range(3):
            nlp.update(tiny.make_examples(nlp), sgd=Adam(1e-4))
    mixed = make_soup([run, start], names=NAMES, weights=[3, 1])
    wanted, cats = other("pizza today").cats, mixed("pizza today").cats
    assert cats == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few(make_runs, n):
    with pytest.raises(ValueError, match=rf"made of 2 or more pipelines, not of {n}\. Train the s"):
        make_soup(make_runs()[:n], names=NAMES[:n])


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]])
def test_bad_weights(make_runs, weights):
    with pytest.raises(ValueError, match=r"weights of 'the soup' are .*; allowed are 2 numbers ab"):
        make_soup(make_runs(), names=NAMES, weights=weights)


def test_other_labels(make_ready, make_nlp):
    first, other = make_ready(), make_nlp()
    labels = ["travel", "music", "food"]
    other.get_pipe("textcat").initialize(lambda: tiny.make_examples(other), labels=labels)
    with pytest.raises(
        ValueError,
        match=r"labels of 'second' \(one of travel, music, food\) are not those of 'first' "
        r"\(one of food, music, travel\), in the same order",
    ):
        make_soup([first, other], names=NAMES)


def test_labels_of_another_kind(make_ready):
    with pytest.raises(ValueError, match=r"labels of 'second' \(any of food, music, travel\) are"):
        make_soup([make_ready(), make_ready("xlt_textcat_multilabel")], names=NAMES)


def test_another_encoder(make_ready, encoders):
    other = make_ready(encoder={"path": str(encoders("roberta"))})
    with pytest.raises(ValueError, match=r"'first' and 'second' have not the same kind of encoder"):
        make_soup([make_ready(), other], names=NAMES)


def test_pipelines_that_are_not_ours(make_ready):
    nlp = spacy.blank("xx")
    stock = nlp.add_pipe("textcat")
    for label in tiny.LABELS:
        stock.add_label(label)
    with pytest.raises(ValueError, match=r"'textcat' of 'second' is made by 'textcat'; only weigh"):
        make_soup([make_ready(), nlp], names=NAMES)


def test_independent_labels(make_runs):
    runs = make_runs("xlt_textcat_multilabel")
    soup = make_soup(runs, names=NAMES)
    (answers,) = read_answers([soup], ["soup"], tiny.make_examples(soup))
    assert answers.n_texts == 27 and 0.0 <= answers.accuracy <= 1.0


# -- collapsed runs -------------------------------------------------------------------------


def test_only_texts_of_the_source_language_are_looked_at(trained):
    examples = tiny.make_examples(trained, ["en", "sw", "de"])
    (answers,) = read_answers([trained], ["it"], examples)
    assert answers.n_texts == 27
    assert answers.accuracy == pytest.approx(tiny.accuracy(trained, ["en"]))
    assert answers.gold_share == pytest.approx(1 / 3)


def test_texts_without_languages_will_do_where_none_is_recorded(trained):
    trained.get_pipe("textcat").cfg["train_langs"] = []
    examples = tiny.make_examples(trained, ["en", "sw"])
    assert read_answers([trained], ["it"], examples)[0].n_texts == 54


def test_a_run_that_withholds_answers_is_asked_for_them(trained):
    examples = tiny.make_examples(trained)
    (before,) = read_answers([trained], ["it"], examples)
    pipe = trained.get_pipe("textcat")
    pipe.set_calibration({"thresholds": {"": dict.fromkeys(tiny.LABELS, 0.99)}})
    pipe.set_abstaining("precision", zero_scores=True)
    assert read_answers([trained], ["it"], examples) == [before]


@pytest.mark.parametrize("langs", [[], ["sw", "de"]])
def test_no_text_to_look_at(trained, langs):
    examples = tiny.make_examples(trained, langs)
    with pytest.raises(
        ValueError,
        match=rf"'it' could not be looked at\. None of the {len(examples)} texts has one of its "
        rf"labels \(one of food, music, travel\) and is in a language that .* \(en\)",
    ):
        read_answers([trained], ["it"], examples)


def test_a_run_whose_scores_are_not_numbers(trained):
    with torch.no_grad():
        trained.get_pipe("textcat")._shim.classifier.head.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"'it' could not be looked at.*scores that are not numb"):
        read_answers([trained], ["it"], tiny.make_examples(trained))


def test_a_run_that_answers_always_the_same(make_ready):
    good, bad = make_ready(), make_ready()
    pipe = bad.get_pipe("textcat")
    with torch.no_grad():
        pipe._shim.classifier.head.bias[1] += 100.0
    runs = read_answers([good, bad], NAMES, tiny.make_examples(good))
    assert runs[1].commonest == "music" and runs[1].share == 1.0
    with pytest.raises(
        ValueError,
        match=r"'second' has collapsed: it answers 'music' to 100% of 27 texts, 33% of which have",
    ):
        check_answers(runs, NAMES)
    check_answers([runs[0], runs[0]], NAMES)


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracy": 0.85},
        {"accuracy": 0.5, "n_texts": 10},  # may be chance
        {"share": 0.97, "gold_share": 0.9},
        {"share": 0.94, "gold_share": 0.1},
    ],
)
def test_runs_that_are_fine(changes):
    check_answers([FINE, dataclasses.replace(FINE, **changes)], NAMES)


def test_a_run_far_below_the_others():
    weak = dataclasses.replace(FINE, accuracy=0.6)
    for runs, name in (([FINE, weak], "second"), ([weak, FINE], "first")):
        with pytest.raises(
            ValueError, match=rf"'{name}' has 60\.0% of 100 texts right, the best run 90\.0%, so it"
        ):
            check_answers(runs, NAMES)


def test_a_pipeline_with_languages_is_read_with_them(make_runs):
    examples = tiny.make_examples(make_runs()[0])
    assert {get_doc_language(eg.reference) for eg in examples} == {"en"}

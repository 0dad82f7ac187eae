import json
import sys
import weakref

import pytest
import spacy

from spacy_xlt.evaluation.evaluate import evaluate_pipeline
from spacy_xlt.evaluation.results import dump_json, read_evaluation
from spacy_xlt.evaluation.task import find_task

ROWS = [
    ("en", "A", "A"),
    ("en", "B", "B"),
    ("de", "A", "A"),
    ("de", "A:0.6", "B"),
    ("swh", "NAN", "A"),
    ("swh", "NONE", "B"),
    ("", "B", "B"),
]


def by_lang(evaluation):
    return {result["lang"]: result for result in evaluation["languages"]}


def test_figures_by_hand(evaluate):
    evaluation = evaluate(ROWS, name="first")
    languages = by_lang(evaluation)
    assert list(languages) == ["en", "de", "sw", ""]
    assert [row["role"] for row in languages.values()] == ["source", "target", "target", "unknown"]
    assert [row["accuracy"] for row in languages.values()] == [1.0, 0.5, 0.0, 1.0]
    assert languages["de"]["confusion"] == [[1, 0], [1, 0]]
    assert languages["de"]["labels"]["A"]["fp"] == 1
    assert languages["de"]["labels"]["B"] == {
        "tp": 0,
        "fp": 0,
        "fn": 1,
        "precision": 0.0,
        "recall": 0.0,
        "f_score": 0.0,
        "auc": 0.5,
    }
    assert languages["de"]["interval"] == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert languages["de"]["confidence"]["mean"] == pytest.approx(0.75)
    assert languages["de"]["confidence"]["mean_correct"] == pytest.approx(0.9)
    assert languages["de"]["confidence"]["mean_wrong"] == pytest.approx(0.6)
    assert evaluation["name"] == "first"
    assert evaluation["overall"]["n"] == 7
    assert evaluation["overall"]["accuracy"] == pytest.approx(4 / 7)
    assert evaluation["transfer"]["transfer_gap"] == pytest.approx(0.75)
    assert evaluation["transfer"]["worst_lang"] == "sw"


def test_the_surest_mistakes_are_kept(evaluate):
    assert evaluate(ROWS)["mistakes"] == []
    (mistake,) = evaluate(ROWS, n_mistakes=3)["mistakes"]
    assert mistake == {
        "text": "A:0.6",
        "lang": "de",
        "gold": "B",
        "predicted": "A",
        "probability": 0.6,
        "words": None,
    }
    many = evaluate([("en", "A", ["B"])], factory="standin_textcat_multilabel", n_mistakes=3)
    assert many["mistakes"] == []


def test_documents_without_usable_prediction_are_wrong_and_told(evaluate):
    sw = by_lang(evaluate(ROWS))["sw"]
    assert (sw["n"], sw["n_correct"], sw["n_unanswered"]) == (2, 0, 2)
    assert sw["confusion"] == [[0, 0], [0, 0]]
    assert sw["labels"]["A"]["fn"] == 1
    assert sw["confidence"] is None


def test_it_agrees_with_the_scorer(make_nlp, make_examples):
    nlp = make_nlp()
    evaluation = evaluate_pipeline(nlp, lambda: make_examples(nlp, ROWS))
    scores = nlp.evaluate(list(make_examples(nlp, ROWS)))
    for result in evaluation["languages"]:
        metrics = scores["cats_by_lang"][result["lang"] or "unknown"]
        assert {key: result[key] for key in metrics} == metrics
    assert scores["cats_target_acc"] == evaluation["transfer"]["target_accuracy"]


def test_independent_labels_count_as_exact_match(evaluate):
    rows = [
        ("en", "A B", ["A", "B"]),
        ("de", "A B:0.6", ["A"]),
        ("de", "none", []),
        ("de", "A", {"A": 1.0}),
    ]
    evaluation = evaluate(rows, factory="standin_textcat_multilabel", config={"threshold": 0.55})
    de = by_lang(evaluation)["de"]
    assert (evaluation["exclusive"], evaluation["threshold"]) == (False, 0.55)
    assert (de["n"], de["n_correct"]) == (3, 2)
    assert de["confusion"] is None and de["confidence"] is None
    assert de["labels"]["B"]["fp"] == 1


@pytest.mark.parametrize("factory", ["textcat", "textcat_multilabel"])
def test_spacys_own_components(make_examples, factory):
    nlp = spacy.blank("en")
    nlp.add_pipe(factory)
    rows = [("en", "yes", "A"), ("de", "nein", "B")]
    nlp.initialize(lambda: list(make_examples(nlp, rows)))
    evaluation = evaluate_pipeline(
        nlp, lambda: make_examples(nlp, rows), source_langs=["eng"], batch_size=1
    )
    assert evaluation["exclusive"] == (factory == "textcat")
    assert evaluation["source_langs"] == ["en"]
    assert [row["lang"] for row in evaluation["languages"]] == ["en", "de"]


def test_languages_can_be_chosen(evaluate):
    evaluation = evaluate(ROWS, langs=["deu", "en"])
    assert list(by_lang(evaluation)) == ["en", "de"]
    with pytest.raises(ValueError, match=r"no document in: fr\. Languages there: unknown, de, en"):
        evaluate(ROWS, langs=["fr"])


def test_each_document_is_told_in_order(evaluate):
    told = []
    evaluate(ROWS, on_prediction=told.append, batch_size=2)
    assert [line["text"] for line in told] == [text for _, text, _ in ROWS]
    assert told[3]["gold"] == "B" and told[3]["predicted"] == "A"
    assert told[3]["scores"] == {"A": 0.6, "B": 0.1}
    assert told[4]["lang"] == "sw" and told[4]["predicted"] is None and told[4]["scores"] == {}
    json.dumps(told, allow_nan=False)


def test_ids_and_lists_of_labels_are_told(make_nlp, make_examples):
    nlp = make_nlp("standin_textcat_multilabel")
    told = []

    def examples():
        for eg in make_examples(nlp, [("en", "A B", ["B"])]):
            eg.reference.user_data["xlt_id"] = 7
            yield eg

    evaluate_pipeline(nlp, examples, on_prediction=told.append)
    assert told == [
        {
            "text": "A B",
            "lang": "en",
            "gold": ["B"],
            "predicted": ["A", "B"],
            "scores": {"A": 0.9, "B": 0.9},
            "id": "7",
        }
    ]


def test_unlabelled_documents_are_left_out_and_counted(evaluate):
    rows = [("en", "A", "A"), ("en", "B", {}), ("de", "B", {"A": 0.0, "B": 0.0})]
    evaluation = evaluate(rows)
    assert (evaluation["overall"]["n"], evaluation["n_unlabelled"]) == (1, 2)


def test_labels_that_the_pipeline_does_not_know(evaluate):
    rows = [("en", "A", "A"), ("de", "A", {"weather": 1.0, "A": 0.0})]
    with pytest.raises(ValueError) as error:
        evaluate(rows)
    for part in (
        "does not know: weather",
        "Labels of 'textcat': A, B",
        "in the corpora: A, weather",
    ):
        assert part in str(error.value)
    never = [("en", "A", {"A": 1.0, "B": 0.0, "weather": 0.0})]
    assert evaluate(never)["overall"]["n"] == 1


def test_labels_of_another_component_are_known(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.add_pipe("standin_textcat", name="tone", config={"labels": ["good", "bad"]})
    rows = [("en", "A bad", {"A": 1.0, "B": 0.0, "good": 1.0, "bad": 0.0})]
    evaluation = evaluate_pipeline(nlp, lambda: make_examples(nlp, rows), component="tone")
    assert evaluation["labels"] == ["good", "bad"]
    assert evaluation["overall"]["accuracy"] == 0.0
    with pytest.raises(ValueError, match="--component must name one"):
        evaluate_pipeline(nlp, lambda: make_examples(nlp, rows))
    with pytest.raises(ValueError, match="'nose' is not one"):
        find_task(nlp, "nose")


@pytest.mark.parametrize("rows", [[], [("en", "A", {})]])
def test_nothing_to_compare_with(evaluate, rows):
    with pytest.raises(ValueError, match=f"None of the {len(rows)} documents has a label of"):
        evaluate(rows)


def test_a_pipeline_without_text_classifier():
    with pytest.raises(ValueError, match="components sentencizer. It has no text classifier"):
        nlp = spacy.blank("en")
        nlp.add_pipe("sentencizer")
        find_task(nlp)


def test_a_component_without_labels(make_nlp):
    with pytest.raises(ValueError, match="'textcat' has no labels: it was never trained"):
        find_task(make_nlp(labels=[]))


def test_batch_size_must_be_positive(evaluate):
    with pytest.raises(ValueError, match="batch size is 0; allowed is 1 or more"):
        evaluate(ROWS, batch_size=0)


def test_documents_are_read_in_batches_and_none_is_kept(make_nlp, make_examples):
    class Token:
        """Lives as long as the Doc that carries it."""

    nlp = make_nlp()
    alive, counts = weakref.WeakSet(), []

    def examples():
        for eg in make_examples(nlp, [("en", "A", "A")] * 300):
            token = eg.reference.user_data["token"] = Token()
            alive.add(token)
            counts.append(len(alive))
            yield eg

    evaluation = evaluate_pipeline(nlp, examples, batch_size=10)
    assert evaluation["overall"]["n"] == 300
    assert 10 <= max(counts) < 60


def test_scores_that_are_no_probabilities_have_no_confidence(evaluate):
    evaluation = evaluate([("en", "A:7.5", "A"), ("en", "B:-3", "B")])
    assert evaluation["overall"]["confidence"] is None
    assert evaluation["overall"]["n_unanswered"] == 0


def test_the_signature_says_what_was_measured(evaluate):
    corpora = [{"path": "corpus/test", "sha256": "0" * 64}]
    signature = evaluate(ROWS, corpora=corpora)["signature"]
    assert signature["corpora"] == corpora
    assert signature["pipeline"] == {
        "name": "xx_pipeline",
        "version": "0.0.0",
        "component": "textcat",
        "factory": "standin_textcat",
    }
    assert signature["seed"] == 0
    assert signature["versions"]["spacy"] == spacy.__version__
    assert ("torch" in signature["versions"]) == ("torch" in sys.modules)


def test_an_encoder_record_is_kept(make_nlp, make_examples):
    nlp = make_nlp()
    pipe = nlp.get_pipe("textcat")
    pipe.encoder_record = {"name": "tiny", "variant": "full"}
    evaluation = evaluate_pipeline(nlp, lambda: make_examples(nlp, ROWS))
    assert evaluation["signature"]["encoder"]["name"] == "tiny"


def test_the_result_survives_the_disk(evaluate, tmp_path):
    evaluation = evaluate([*ROWS, ("ar", "\u0627 A", "A")], langs=["en", "de", "sw", "ar"])
    path = tmp_path / "figures.json"
    path.write_text(dump_json(evaluation), encoding="utf8")
    assert read_evaluation(path) == json.loads(json.dumps(evaluation), object_hook=_tuples)
    assert '"confusion": [' in path.read_text(encoding="utf8")


def _tuples(value):
    for key, part in value.items():
        if isinstance(part, list) and ("interval" in key or key.endswith(("_accuracy", "_gap"))):
            value[key] = tuple(part)
    return value


def test_progress_wraps_as_many_documents_as_are_predicted(evaluate):
    seen = []

    def progress(items, total):
        seen.append(total)
        for item in items:
            seen.append(item.reference.text)
            yield item

    evaluate([*ROWS, ("en", "A", {})], progress=progress)
    assert seen == [len(ROWS), *(text for _, text, _ in ROWS)]

from spacy_xlt.evaluation.model_card import make_model_card

ENCODER = {
    "name": "multilingual-e5-small",
    "variant": "q4",
    "licence": "MIT",
    "pooling": "mean",
    "prefix": "query: ",
}
CORPUS = {
    "sources": [
        {"name": f"{lang}.tsv", "licence": "CC BY-SA 4.0", "address": "https://example.org/a_b"}
        for lang in ("en", "de", "fr", "sw", "th", "yo", "zu")
    ]
}


def test_all_that_is_known_is_on_it(evaluate, many_rows):
    corpora = [{"path": "corpus/test", "sha256": "5" * 64}]
    card = make_model_card(evaluate(many_rows, corpora=corpora), ENCODER, CORPUS)
    for text in (
        "# xx\\_pipeline 0.0.0",
        "trained on labels in English and measured in 4",
        "90.0 % right in the source language, 43.3 % on average in the others, 0.0 % in the",
        "| Swahili | sw | target, not to be trusted | 5 | 0.0 |",
        "| English | en | source | 60 | 90.0 | 79.9–95.3 |",
        "weights unpacked from a 4-bit copy",
        "licence: MIT",
        "`query: `",
        "en.tsv, de.tsv, fr.tsv, sw.tsv, th.tsv and 2 more: <https://example.org/a_b>",
        "licence: CC BY-SA 4.0",
        "on corpus/test (SHA-256 `" + "5" * 64,
        'spacy.load("xx_pipeline")',
        "Not to be trusted, more than 20 points below the source: Thai",
        "seed 0",
    ):
        assert text in card, text


def test_languages_with_target_labels_are_named(evaluate, many_rows):
    card = make_model_card(evaluate(many_rows, config={"tuned_langs": ["sw", "th"]}))
    assert "trained on labels in English, then with target labels in Swahili, Thai and" in card
    assert "| Thai | th | target, with labels, not" in card
    assert "| German | de | target |" in card


def test_what_is_not_known_is_said(evaluate):
    card = make_model_card(evaluate([("de", "A", "A")], config={"train_langs": []}))
    assert card.count("Not recorded.") == 2
    assert "languages that are not recorded" in card


def test_the_encoder_of_the_evaluation_is_taken(evaluate):
    evaluation = evaluate([("en", "A", "A")])
    evaluation["signature"]["encoder"] = {"name": "tiny", "variant": "full"}
    card = make_model_card(evaluation, None, {"sources": [{"name": "own|file.csv"}]})
    assert "- tiny, the published weights" in card
    assert "own\\|file.csv: address not recorded, licence: not recorded" in card


def test_independent_labels_name_their_threshold(evaluate):
    card = make_model_card(
        evaluate(
            [("en", "A", ["A"])],
            factory="standin_textcat_multilabel",
            config={"threshold": 0.3, "labels": ["A", "<b>"]},
        )
    )
    assert "any number of 2 labels" in card
    assert "from a score of 0.3" in card
    assert "- \\<b\\>" in card

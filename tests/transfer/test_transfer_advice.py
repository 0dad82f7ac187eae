from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.evaluation.gains import Gain
from spacy_xlt.transfer.advice import LanguageFacts, Situation, advise, name_languages
from spacy_xlt.transfer.recipes import BASELINE, RECIPES, Needs, Recipe

LABELS = ("food", "music")
# One recipe for each kind of need.
NEEDY = {
    recipe.name: recipe
    for recipe in (
        RECIPES[BASELINE],
        Recipe("quick", "a head", "seconds", time=0.1),
        Recipe("tuned", "with labels", "", Needs(target_labels=4, start=True), time=0.5),
        Recipe("selves", "with texts", "", Needs(unlabelled=50, start=True), time=2.0),
        Recipe("words", "with lexicons", "", Needs(lexicons=True)),
        Recipe("read", "word by word", "", Needs(glosses=True, start=True), time=0.1),
        Recipe("moved", "with a translator", "", Needs(translator=True)),
        Recipe("paired", "with translations", "", Needs(parallel=True)),
        Recipe("taught", "by a teacher", "", Needs(teacher=True, unlabelled=10), time=3.0),
    )
}


def labelled(n_each, labels=LABELS, **settings):
    counts = dict.fromkeys(labels, n_each)
    return LanguageFacts(labels=counts, n_labelled=n_each * len(labels), **settings)


def situation(targets, *, source=None, **settings):
    languages = {"en": labelled(100) if source is None else source, **targets}
    return Situation(source_langs=("en",), languages=languages, **settings)


def gain(recipe, mean, low, high, labels_per_class=None):
    return Gain(recipe, labels_per_class, mean, (low, high), True, ("sw", "yo"), 3, None, "x")


def names(advice):
    return [one.recipe.name for one in advice.recommended]


def reasons(advice):
    return {one.recipe.name: one.reason for one in advice.left_out}


# -- what fits ------------------------------------------------------------------------------


def test_with_source_labels_alone():
    advice = advise(situation({"sw": LanguageFacts()}), NEEDY, [])
    assert names(advice) == [BASELINE, "quick"]
    assert advice.recommended[0].langs == ("sw",)
    assert reasons(advice) == {
        "tuned": "It needs 4 or more labels per class in a target language that the encoder can "
        "read.",
        "selves": "It needs 50 or more unlabelled texts (--unlabelled) in a target language that "
        "the encoder can read.",
        "words": "It needs a lexicon from the source language (--lexicons) in a target language "
        "that the encoder can read.",
        "read": "It needs a lexicon from or into the source language (--lexicons) in a target "
        "language that the encoder can read.",
        "moved": "It needs a translator from the source language (--translator) in a target "
        "language that the encoder can read.",
        "paired": "It needs translations of source texts (--parallel) in a target language that "
        "the encoder can read.",
        "taught": "It needs a trained pipeline to learn from (--teacher).",
    }


def test_each_need_that_is_met_lets_its_recipe_in():
    full = labelled(4, n_unlabelled=50, n_lexicon=9, n_gloss=8, n_parallel=3, has_translator=True)
    advice = advise(situation({"sw": full}, has_teacher=True), NEEDY, [])
    assert set(names(advice)) == set(NEEDY) and advice.left_out == []
    for change, lost in (
        ({"n_labelled": 7}, "tuned"),
        ({"n_unlabelled": 49}, "selves"),
        ({"n_lexicon": 0}, "words"),
        ({"n_gloss": 0}, "read"),
        ({"has_translator": False}, "moved"),
        ({"n_parallel": 0}, "paired"),
    ):
        advice = advise(situation({"sw": replace(full, **change)}, has_teacher=True), NEEDY, [])
        assert list(reasons(advice)) == [lost]


def test_the_best_measured_comes_first_over_all_targets():
    targets = {"sw": labelled(8), "yo": LanguageFacts(n_unlabelled=99), "ha": LanguageFacts()}
    targets["sw"] = replace(targets["sw"], n_unlabelled=99)
    known = [gain("tuned", 4.0, 2.0, 6.0, 8), gain("selves", 2.5, 1.0, 4.0)]
    advice = advise(situation(targets), NEEDY, known)
    # 2.5 points in two of three languages are more than 4 in one.
    assert names(advice) == ["selves", "tuned", BASELINE, "quick"]
    first, second = advice.recommended[:2]
    assert first.langs == ("sw", "yo") and second.langs == ("sw",)
    assert first.benefit == pytest.approx(5.0 / 3) and second.benefit == pytest.approx(4.0 / 3)
    assert "It does nothing for 1 of 3 target languages." in first.reasons


def test_what_is_not_sure_counts_nothing_and_what_loses_comes_last():
    targets = {"sw": labelled(8, n_unlabelled=99, n_lexicon=5)}
    known = [
        gain("tuned", 4.0, -1.0, 9.0, 8),
        gain("words", -2.0, -3.0, -1.0),
        gain("quick", 0.0, -1.0, 1.0),
    ]
    advice = advise(situation(targets), NEEDY, known)
    assert names(advice) == ["quick", BASELINE, "tuned", "selves", "words"]
    told = {one.recipe.name: " ".join(one.reasons) for one in advice.recommended}
    assert "not sure: the interval holds 0" in told["tuned"]
    assert "What it brings was not measured." in told["selves"]
    assert "It brought nothing where it was measured." in told["words"]
    assert "It is what all gains are against." in told[BASELINE]


def test_a_measurement_with_other_numbers_of_labels_is_named():
    known = [gain("tuned", 4.0, 2.0, 6.0, 8)]
    for n, more in ((100, "more may bring more"), (8, None), (20, None)):
        advice = advise(situation({"sw": labelled(n)}), NEEDY, known)
        text = " ".join(advice.recommended[0].reasons)
        assert ("measured with 8 labels per class" in text) == (more is not None)
        assert more is None or more in text
        assert f"for Swahili with {n} labels per class" in text


def test_labels_that_a_target_lacks_are_named():
    targets = {"sw": LanguageFacts(labels={"food": 20}, n_labelled=20)}
    advice = advise(situation(targets), NEEDY, [])
    (tuned,) = [one for one in advice.recommended if one.recipe.name == "tuned"]
    assert "Swahili has no labelled text of 1 of 2 labels (music)." in tuned.reasons


# -- time -----------------------------------------------------------------------------------


def test_time_is_that_of_both_stages():
    facts = situation({"sw": labelled(8)}, baseline_minutes=10.0)
    minutes = {one.recipe.name: one.minutes for one in advise(facts, NEEDY, []).recommended}
    assert minutes == {BASELINE: 10.0, "quick": 1.0, "tuned": 15.0}
    advice = advise(replace(facts, has_start=True), NEEDY, [])
    assert {x.recipe.name: x.minutes for x in advice.recommended}["tuned"] == 5.0
    measured = [replace(gain("tuned", 1.0, 0.5, 1.5, 8), time=1.25)]
    advice = advise(facts, NEEDY, measured)
    assert advice.recommended[0].time == 1.25 and advice.recommended[0].minutes == 12.5
    advice = advise(replace(facts, has_start=True), NEEDY, measured)
    assert advice.recommended[0].time == 0.25 and advice.recommended[0].minutes == 2.5


def test_what_takes_too_long_is_left_out():
    facts = situation({"sw": labelled(8)}, baseline_minutes=10.0, minutes=2)
    advice = advise(facts, NEEDY, [])
    assert names(advice) == ["quick"]
    assert reasons(advice)["tuned"] == "It takes about 15 minutes; there are 2."
    advice = advise(replace(facts, minutes=0.5), NEEDY, [])
    assert names(advice) == []
    assert "No recipe fits into 0.5 minutes, which is what --minutes allows." in advice.warnings


# -- what cannot work -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "warning"),
    [
        (LanguageFacts(), "There is no labelled text, so nothing can be trained."),
        (labelled(9, ["food"]), "All labelled texts have the label food: there is nothing to tell"),
        (LanguageFacts(n_labelled=5), "All labelled texts have the label (none)"),
    ],
)
def test_without_a_choice_of_labels_there_is_nothing(source, warning):
    advice = advise(situation({"sw": LanguageFacts()}, source=source), NEEDY, [])
    assert advice.recommended == [] and len(advice.left_out) == len(NEEDY)
    assert any(text.startswith(warning) for text in advice.warnings)


def test_one_label_that_some_texts_lack():
    source = LanguageFacts(labels={"spam": 40}, n_labelled=100)
    assert names(advise(situation({}, source=source), NEEDY, [])) == [BASELINE, "quick"]


def test_a_language_that_cannot_be_read_is_named_and_left_out():
    targets = {"sat": labelled(50, unknown_share=0.48), "sw": labelled(50, unknown_share=0.001)}
    advice = advise(situation(targets), NEEDY, [])
    assert all("sat" not in one.langs for one in advice.recommended)
    assert any("The encoder cannot read Santali: more than 5 %" in x for x in advice.warnings)
    advice = advise(situation({"sat": targets["sat"]}), NEEDY, [])
    assert "tuned" in reasons(advice)


def test_words_in_many_pieces_are_named():
    source = replace(labelled(50), pieces_per_word=1.3)
    targets = {
        "yo": LanguageFacts(pieces_per_word=2.7),
        "fr": LanguageFacts(pieces_per_word=1.5),
        "th": LanguageFacts(),
    }
    advice = advise(situation(targets, source=source), NEEDY, [])
    (warning,) = [text for text in advice.warnings if "pieces" in text]
    assert warning.startswith("Words of Yoruba are torn into more than 1.8 times as many pieces")


def test_what_lost_comes_last_without_targets_too():
    advice = advise(situation({}), NEEDY, [gain("quick", -2.0, -3.0, -1.0)])
    assert names(advice) == [BASELINE, "quick"]


def test_only_a_source_language():
    advice = advise(situation({}), NEEDY, [])
    assert names(advice) == [BASELINE, "quick"] and advice.recommended[0].langs == ()
    assert any("Only the source language is known of." in text for text in advice.warnings)


def test_labels_of_targets_alone_and_rival_sources():
    targets = {"sw": labelled(100, ("food", "sport"))}
    warnings = advise(situation(targets), NEEDY, []).warnings
    assert any("Labels that only target languages have: sport." in text for text in warnings)
    assert any("Swahili has as many labels as the source, English." in text for text in warnings)


def test_many_languages_are_told_as_a_number():
    assert name_languages(["sw", "yo"]) == "Swahili, Yoruba"
    assert name_languages([f"x{i}" for i in range(30)]) == "30 languages"


# -- whatever there is ----------------------------------------------------------------------

COUNTS = st.integers(0, 100)
FACTS = st.builds(
    lambda labels, n_unlabelled, n_parallel, n_lexicon, n_gloss, translator, unknown: LanguageFacts(
        labels=labels,
        n_labelled=sum(labels.values()),
        n_unlabelled=n_unlabelled,
        n_parallel=n_parallel,
        n_lexicon=n_lexicon,
        n_gloss=n_gloss,
        has_translator=translator,
        unknown_share=unknown,
    ),
    st.dictionaries(st.sampled_from(["food", "music", "travel"]), COUNTS),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    st.booleans(),
    st.one_of(st.none(), st.floats(0.0, 1.0)),
)
SITUATIONS = st.builds(
    Situation,
    source_langs=st.sampled_from([("en",), ("de",), ("en", "de"), ("pt",)]),
    languages=st.dictionaries(st.sampled_from(["en", "de", "sw", "yo", "zh"]), FACTS),
    baseline_minutes=st.one_of(st.none(), st.floats(0.01, 100)),
    minutes=st.one_of(st.none(), st.floats(0.01, 100)),
    has_teacher=st.booleans(),
    has_start=st.booleans(),
)
GAINS = st.lists(
    st.builds(
        lambda recipe, mean, half, shots: gain(recipe, mean, mean - half, mean + half, shots),
        st.sampled_from(sorted(NEEDY)),
        st.floats(-5, 5),
        st.floats(0, 3),
        st.sampled_from([None, 1, 8, 50]),
    ),
    max_size=6,
)


@given(SITUATIONS, GAINS)
def test_no_recipe_is_recommended_whose_needs_are_not_met(facts, known):
    advice = advise(facts, NEEDY, known)
    done = [one.recipe.name for one in (*advice.recommended, *advice.left_out)]
    assert sorted(done) == sorted(NEEDY)
    for one in advice.recommended:
        needs, targets = one.recipe.needs, [facts.languages[lang] for lang in one.langs]
        assert one.reasons and set(one.langs) <= set(facts.targets)
        assert all(target.is_readable for target in targets)
        assert not needs.source_labels or any(
            facts.languages[lang].n_labelled
            for lang in facts.source_langs
            if lang in facts.languages
        )
        assert not needs.teacher or facts.has_teacher
        if needs.target_labels or needs.unlabelled or needs.lexicons or needs.glosses:
            assert targets
        if needs.translator or needs.parallel:
            assert targets
        for target in targets:
            assert target.n_labelled >= needs.target_labels * len(facts.labels)
            assert target.n_unlabelled >= needs.unlabelled
            assert not needs.lexicons or target.n_lexicon
            assert not needs.glosses or target.n_gloss
            assert not needs.translator or target.has_translator
            assert not needs.parallel or target.n_parallel
        if facts.minutes is not None and one.minutes is not None:
            assert one.minutes <= facts.minutes
    benefits = [one.benefit for one in advice.recommended]
    assert benefits == sorted(benefits, reverse=True)


@given(SITUATIONS, GAINS)
def test_there_is_a_recommendation_or_a_reason_why_not(facts, known):
    advice = advise(facts, NEEDY, known)
    assert advice.recommended or advice.warnings
    assert all(one.reason for one in advice.left_out)


@given(SITUATIONS)
def test_the_recipes_of_the_package_too(facts):
    advice = advise(facts)
    assert len(advice.recommended) + len(advice.left_out) == len(RECIPES)
    assert advice.recommended or advice.warnings

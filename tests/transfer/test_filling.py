from pathlib import Path

import pytest

from spacy_xlt.components.starting import Started, read_started
from spacy_xlt.corpora.layout import Row
from spacy_xlt.transfer import filling
from spacy_xlt.transfer.adaptation import Target
from spacy_xlt.transfer.filling import Material, check_paths, fill_recipe, find_source_file
from spacy_xlt.transfer.recipes import RECIPES, Needs, Recipe

JOINT = Recipe("joint", "all labels at once", "", Needs(target_labels=1))
TUNE = RECIPES["finetune"]
FIRST = RECIPES["zero_shot"]


def make_config(**settings):
    def read(name):
        return {"@readers": "spacy_xlt.Corpus.v1", "path": f"${{paths.{name}}}", "langs": None}

    return {
        "paths": dict.fromkeys(("train", "dev", "encoder", "vectors", "init_tok2vec")),
        "corpora": {"train": read("train"), "dev": read("dev")},
        "initialize": {"components": {"textcat": {"new_head": False, **settings}}},
    }


def rows(lang, labels, n=2, *, known=("food", "music")):
    """Documents, each with one of the labels; one of several labels is `food+music`."""
    return [
        Row(f"{lang} {label} {i}", {x: float(x in label.split("+")) for x in known}, lang)
        for label in labels
        for i in range(n)
    ]


BOTH = rows("en", ["food", "music"], 3) + rows("sw", ["food", "music"])
DEV = [
    Row(f"dev {row.text}", row.cats, row.lang) for row in (*BOTH, *rows("de", ["food", "music"]))
]


def started(labels=("food", "music"), langs=("en",), exclusive=True):
    cfg = {"labels": list(labels), "train_langs": list(langs), "exclusive": exclusive}
    return Started(Path("start/textcat"), cfg)


def fill(recipe, *, train=BOTH, dev=DEV, config=None, multilabel=None, **material):
    material = Material(train, dev, **material)
    return fill_recipe(recipe, config or make_config(), material, multilabel=multilabel)


def values(filled):
    return {setting.key: setting.value for setting in filled.settings}


# -- languages ------------------------------------------------------------------------------


def test_a_first_stage_trains_on_the_source():
    filled = fill(FIRST, source_langs=["en"])
    assert values(filled) == {"corpora.train.langs": ["en"], "corpora.dev.langs": ["en"]}
    assert filled.settings[0].why == "source languages of the corpus, which also has Swahili"
    assert filled.warnings == []


def test_without_a_source_it_trains_on_all():
    assert values(fill(FIRST, dev=rows("en", ["food", "music"], 9)[6:])) == {}


def test_a_second_stage_trains_on_what_is_not_the_source():
    filled = fill(TUNE, start=started())
    assert values(filled) == {"corpora.train.langs": ["sw"], "corpora.dev.langs": ["sw"]}
    train = BOTH + rows("yo", ["food", "music"])
    filled = fill(TUNE, train=train, start=started(), target_langs=["yo"])
    assert values(filled) == {"corpora.train.langs": ["yo"]}
    assert "No development document is in a language that is trained on." in filled.warnings[0]


def test_both_at_once():
    train = BOTH + rows("yo", ["food", "music"])
    assert values(fill(JOINT, train=train)) == {"corpora.dev.langs": ["en", "sw"]}
    filled = fill(JOINT, train=train, source_langs=["en"], target_langs=["yo"])
    assert values(filled)["corpora.train.langs"] == ["en", "yo"]


def test_readers_in_readers():
    config = make_config()
    parts = {"source": {"path": "${paths.source}", "langs": None}}
    parts["target"] = config["corpora"]["train"]
    config["corpora"]["train"] = {"@readers": "several", "weights": None, "corpora": parts}
    found = values(fill(TUNE, start=started(), config=config))
    assert found["corpora.train.corpora.target.langs"] == ["sw"]
    del parts["target"]["langs"]  # a reader that has no such setting
    assert "corpora.dev.langs" in values(fill(TUNE, start=started(), config=config))


def test_documents_without_a_language_are_all_read():
    train = rows("", ["food", "music"]) + rows("sw", ["food", "music"])
    assert "corpora.train.langs" not in values(fill(TUNE, train=train, start=started()))


@pytest.mark.parametrize(
    ("recipe", "material"),
    [
        (TUNE, {"train": rows("en", ["food", "music"]), "start": started()}),
        (TUNE, {"train": [], "start": started()}),
        (TUNE, {"start": started(), "target_langs": ["zu"]}),
        (FIRST, {"source_langs": ["zu"]}),
        (FIRST, {"train": [Row("no label", {}, "en")]}),
    ],
)
def test_without_a_language_to_train_on(recipe, material):
    with pytest.raises(ValueError, match="No labelled training document is in a language"):
        fill(recipe, **material)


# -- labels ---------------------------------------------------------------------------------


def test_the_kind_of_labels_is_seen():
    filled = fill(FIRST)
    assert not filled.multilabel and filled.why_labels == "every document has one label"
    filled = fill(FIRST, train=BOTH + rows("sw", ["food+music", ""], 1))
    assert filled.multilabel
    assert filled.why_labels == "2 of 12 documents have several labels or none"
    assert fill(FIRST, multilabel=True).multilabel
    assert not fill(FIRST, train=rows("sw", ["food+music"]), multilabel=False).multilabel


def test_a_pipeline_to_start_from_tells_the_kind():
    assert fill(TUNE, start=started(exclusive=False)).multilabel
    assert not fill(TUNE, start=started()).multilabel
    with pytest.raises(ValueError, match="gives one label per document, but 2 of 12 documents"):
        fill(TUNE, train=BOTH + rows("sw", ["food+music"]), start=started())
    with pytest.raises(ValueError, match="one label per document, but the other kind was asked"):
        fill(TUNE, start=started(), multilabel=True)
    with pytest.raises(ValueError, match="gives any number of labels per document, but the other"):
        fill(TUNE, start=started(exclusive=False), multilabel=False)


def test_labels_that_targets_lack_are_kept():
    start = started(("music", "travel", "food"))
    filled = fill(TUNE, start=start)
    assert values(filled)["initialize.components.textcat.labels"] == ["music", "travel", "food"]
    assert filled.settings[-1].why == "kept from the start: travel, which no training document has"
    more = rows("sw", ["sport"], known=("sport",))
    filled = fill(TUNE, train=BOTH + more, start=start)
    assert values(filled)["initialize.components.textcat.labels"][-1] == "sport"
    filled = fill(TUNE, start=start, config=make_config(new_head=True))
    assert "initialize.components.textcat.labels" not in values(filled)
    assert "initialize.components.textcat.labels" not in values(fill(TUNE, start=started()))


SHARE = "initialize.components.textcat.untouched_share"


@pytest.mark.parametrize(
    ("distance", "n_documents", "expected"),
    [
        (1.6, 10, {SHARE: 0.0}),
        (2.5, 10, {}),
        (2.5, 5000, {"components.textcat.model.freeze": "half"}),
    ],
)
def test_a_second_stage_is_fitted_to_its_target(
    trained_dir, monkeypatch, distance, n_documents, expected
):
    target = Target(n_documents, distance, 1.0, 0.0)
    seen = []
    monkeypatch.setattr(filling, "measure_target", lambda *args: seen.append(args) or target)
    start = read_started(trained_dir, "textcat")
    config = make_config(refit_head=True, untouched_share=0.5)
    source = rows("en", ["food", "music"])
    filled = fill(TUNE, start=start, source=source, config=config)
    found = {key: value for key, value in values(filled).items() if key in {SHARE, *expected}}
    assert found == expected
    reasons = [setting.why for setting in filled.settings if setting.key in expected]
    place = "far from the source" if distance > 2 else "near the source"
    assert all(f"{n_documents:,} labelled target documents, {place}" in why for why in reasons)
    ((pipe, source_docs, target_docs),) = seen
    assert pipe.labels == ("food", "music", "travel")
    assert [doc.text for doc in source_docs] == [row.text for row in source]
    assert {doc._.xlt_lang for doc in target_docs} == {"sw"}


def test_nothing_is_measured_without_source_texts(trained_dir, monkeypatch):
    monkeypatch.setattr(filling, "measure_target", None)
    start = read_started(trained_dir, "textcat")
    config = make_config(refit_head=True, untouched_share=0.5)
    assert SHARE not in values(fill(TUNE, start=start, config=config))
    source = rows("en", ["food", "music"])
    assert SHARE not in values(fill(TUNE, start=start, source=source))


def test_label_sets_that_overlap_in_part_are_named():
    train = rows("en", ["food", "music"]) + rows("sw", ["food"])
    (warning,) = fill(JOINT, train=train).warnings
    assert warning.startswith("Label sets overlap only in part: Swahili lacks music.")


def test_shared_and_unseen_documents_are_named():
    dev = [Row("EN  food 0", {"sport": 1.0}, "en"), *DEV]
    first, second = fill(FIRST, dev=dev).warnings
    assert first.startswith("1 of 15 development documents are trained on too (English 1)")
    assert second.startswith("Development documents have labels that no training document has: sp")
    assert fill(FIRST, dev=dev, source_langs=["sw"]).warnings != []


# -- paths ----------------------------------------------------------------------------------


def test_paths_that_are_missing_or_not_read():
    config = make_config()
    check_paths(FIRST, config, ["train", "dev", "encoder"])
    with pytest.raises(ValueError, match=r"needs more than is given:\n--dev: .*\n--encoder: the"):
        check_paths(FIRST, config, ["train"])
    with pytest.raises(ValueError, match="'zero_shot' does not read start. It reads: train, dev,"):
        check_paths(FIRST, config, ["train", "dev", "encoder", "start"])
    config["paths"]["new_kind"] = None
    with pytest.raises(ValueError, match="--new_kind: paths.new_kind of its config. Set --paths.n"):
        check_paths(FIRST, config, ["train", "dev", "encoder"])


def test_the_source_beside_the_targets(tmp_path):
    for lang in ("en", "sw"):
        (tmp_path / f"{lang}.spacy").write_bytes(b"")
    assert find_source_file([tmp_path], ["en"]) == tmp_path / "en.spacy"
    assert find_source_file([tmp_path], ["en", "sw"]) is None
    assert find_source_file([tmp_path], ["de"]) is None
    assert find_source_file([tmp_path / "sw.spacy"], ["sw"]) is None

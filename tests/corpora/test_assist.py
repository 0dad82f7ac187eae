import random
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from spacy_xlt.corpora.assist import (
    NAMES,
    SOURCE_SHARES,
    TARGET_SHARES,
    AssistSettings,
    Template,
    divide,
    expand,
    import_assist,
    make_texts,
    read_templates,
)
from spacy_xlt.corpora.checks import check_corpus
from spacy_xlt.corpora.layout import normalize_text, read_corpus

LANGS = ["de", "fr", "zh-CN", "sw"]


def template(text, rules=None, lists=None, id="x"):
    return Template(id, text, rules or {}, lists or {})


def texts(found, n=200, seed=0):
    rng = random.Random(seed)
    return {expand(found, rng) for _ in range(n)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("assist") / "corpus"
    record = import_assist(out, AssistSettings(langs=LANGS))
    return SimpleNamespace(path=out, record=record, rows=read_corpus(out).rows)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("turn on", {"turn on"}),
        ("(a|b) c[s]", {"a c", "a cs", "b c", "b cs"}),
        ("(a;b)", {"a b", "b a"}),
        ("<go> now", {"go now", "walk now"}),
        ("{color:c} light", {"red light", "dark blue light", "blue light"}),
        ("{level}%", {"0%", "50%", "100%"}),
        ("  much   space ", {"much space"}),
    ],
)
def test_expansion(text, expected):
    lists = {
        "color": {"values": ["red", {"in": "[dark] blue", "out": "b"}]},
        "level": {"range": {"from": 0, "to": 100, "step": 50}},
    }
    assert texts(template(text, {"go": "(go|walk)"}, lists)) == expected


def test_open_slots_are_filled_from_one_pool():
    lists = {"message": {"wildcard": True}, "empty": {"values": []}}
    for slot in ("area", "message", "empty", "timer_name:name"):
        assert texts(template(f"{{{slot}}}", lists=lists), n=600) == set(NAMES)


@pytest.mark.parametrize(
    "text, message",
    [("<nothing>", "no rule <nothing>"), ("<loop>", "without end"), ("(open", "")],
)
def test_malformed_templates_are_recorded_and_the_others_used(text, message):
    found = {"A": [template(text, {"loop": "a <loop>"}, id="bad"), template("fine", id="good")]}
    made = make_texts("de", found, {"test": 1.0}, AssistSettings())
    assert [(row[2], row[3]) for row in made.rows] == [("good", "fine")]
    assert list(made.failed) == ["bad"] and message in made.failed["bad"]


@pytest.mark.parametrize(
    "n, sizes", [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (20, [14, 3, 3])]
)
def test_division_of_templates(n, sizes):
    found = [template(str(i)) for i in range(n)]
    parts = divide(found, SOURCE_SHARES, random.Random(0))
    assert [len(parts[split]) for split in ("train", "test", "dev")] == sizes
    assert sorted(t.text for part in parts.values() for t in part) == sorted(map(str, range(n)))


def test_caps():
    found = {"A": [template("(a|b|c|d|e|f|g|h)", id="1"), template("x {area}", id="2")]}
    settings = AssistSettings(per_template=3, test_per_intent=5)
    made = make_texts("de", found, {"test": 1.0}, settings)
    counts = Counter(row[2] for row in made.rows)
    assert sum(counts.values()) == 5 and max(counts.values()) == 3


def test_long_chains_of_options_do_not_dominate_or_take_long():
    long = template("[please] " * 40 + "{area} (a|b)" * 20, id="long")
    made = make_texts("de", {"A": [long, template("short")]}, {"test": 1.0}, AssistSettings())
    assert len(made.rows) == 5


def test_texts_of_two_intents_are_dropped_and_counted():
    found = {"A": [template("go"), template("stay")], "B": [template("Go"), template("leave")]}
    made = make_texts("de", found, {"test": 1.0}, AssistSettings())
    assert sorted(row[3] for row in made.rows) == ["leave", "stay"]
    assert made.n_ambiguous == 2


def test_texts_of_two_templates_are_kept_once():
    found = {"A": [template("go[ ]", id="1"), template("(GO|go)", id="2")]}
    made = make_texts("de", found, TARGET_SHARES, AssistSettings())
    assert len(made.rows) == 1 and made.n_repeated >= 1


def test_templates_that_stand_twice_count_once():
    data = {
        "intents": {"A": {"data": [{"sentences": ["x", "y"]}, {"sentences": ["x"]}]}},
        "expansion_rules": {"r": "1"},
    }
    package = SimpleNamespace(get_intents=lambda code: data)
    (found,) = read_templates(package, "de").values()
    assert [(t.id, t.text) for t in found] == [("de/A/0", "x"), ("de/A/1", "y")]


def test_local_rules_come_before_those_of_the_language():
    block = {"sentences": ["<r> {l}"], "expansion_rules": {"r": "in"}, "lists": {"l": None}}
    data = {
        "intents": {"A": {"data": [{**block, "lists": {"l": {"values": ["y"]}}}]}},
        "expansion_rules": {"r": "out"},
        "lists": {"l": {"values": ["z"]}},
    }
    package = SimpleNamespace(get_intents=lambda code: data)
    assert texts(read_templates(package, "de")["A"][0]) == {"in y"}


def test_source_and_targets(corpus):
    splits = {}
    for row in corpus.rows:
        splits.setdefault(row.lang, set()).add(row.split)
    assert splits == {
        "en": {"train", "dev", "test"},
        **{lang: {"pool", "test"} for lang in ("de", "fr", "zh-CN")},
    }
    sizes = Counter((row.lang, row.split) for row in corpus.rows)
    assert 1500 <= sizes["en", "train"] <= 2500
    assert all(100 <= n <= 200 for (_, split), n in sizes.items() if split in ("dev", "test"))


def test_kept_intents_have_at_least_three_templates(corpus):
    assert len(corpus.record["labels"]) == 31
    assert corpus.record["intents_left_out"]["HassNevermind"] == 2
    assert not set(corpus.record["intents_left_out"]) & set(corpus.record["labels"])


def test_thin_languages_are_listed_apart(corpus):
    assert corpus.record["thin"] == {"sw": 2}
    swahili = next(s for s in corpus.record["sources"] if s["name"].endswith("/sw.json"))
    assert swahili["kept"] == 0 and swahili["rows"] > 0


def test_a_template_is_in_one_split_and_a_text_stands_once(corpus):
    splits = {}
    for row in corpus.rows:
        splits.setdefault(row.id, set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    keys = [(row.lang, normalize_text(row.text)) for row in corpus.rows]
    assert len(set(keys)) == len(keys)
    report = check_corpus(corpus.path)
    assert report.leaks == [] and report.contradictions == 0


def test_sources_are_recorded(corpus):
    source = corpus.record["sources"][0]
    assert source["name"] == "home_assistant_intents/data/en.json"
    assert len(source["sha256"]) == 64 and source["licence"] == "Apache-2.0"
    assert set(corpus.record["packages"]) == {"home-assistant-intents", "hassil"}
    assert corpus.record["failed_templates"] == {}


def test_seed(corpus, tmp_path):
    import_assist(tmp_path / "same", AssistSettings(langs=LANGS))
    assert read_corpus(tmp_path / "same").rows == corpus.rows
    import_assist(tmp_path / "other", AssistSettings(langs=LANGS, seed=1))
    assert read_corpus(tmp_path / "other").rows != corpus.rows


def test_another_source_language(tmp_path):
    record = import_assist(tmp_path / "c", AssistSettings(source_lang="deu", langs=["en", "fr"]))
    assert record["source_lang"] == "de" and list(record["counts"]["train"]) == ["de"]
    assert list(record["counts"]["pool"]) == ["en", "fr"]


def test_a_thin_source_asks_less_of_others(tmp_path):
    record = import_assist(tmp_path / "c", AssistSettings(source_lang="ja", langs=["en"]))
    assert record["thin"] == {} and len(record["labels"]) < 5


def test_unknown_language(tmp_path):
    with pytest.raises(ValueError, match="'assist' has no language 'yo'. It has: af, ar, bg"):
        import_assist(tmp_path / "c", AssistSettings(langs=["yo"]))


def test_source_with_too_few_intents(tmp_path):
    settings = AssistSettings(source_lang="te", min_templates=20)
    with pytest.raises(ValueError, match="Telugu cannot be the source .* only 0 of its intents"):
        import_assist(tmp_path / "c", settings)


def test_missing_packages(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "home_assistant_intents", None)
    with pytest.raises(ImportError, match=r"'assist' needs .* pip install 'spacy-xlt\[assist\]'"):
        import_assist(tmp_path / "c")


@pytest.mark.parametrize("damaged", [None, {"intents": {"HassTurnOn": None}}])
def test_a_damaged_language_does_not_end_the_import(tmp_path, monkeypatch, damaged):
    package = pytest.importorskip("home_assistant_intents")
    english = package.get_intents("en")
    monkeypatch.setattr(package, "get_languages", lambda: ["en", "de"])
    monkeypatch.setattr(package, "get_intents", lambda code: english if code == "en" else damaged)
    record = import_assist(tmp_path / "c", AssistSettings())
    assert record["thin"] == {"de": 0}
    assert bool(record["failed_templates"]) == bool(damaged)

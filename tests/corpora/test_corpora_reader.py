import json
import warnings

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus as SpacyCorpus
from spacy.training import Example

from spacy_xlt.corpora.layout import Corpus, Row, rows_to_docbin, write_corpus
from spacy_xlt.corpora.reader import create_corpus_v1

SPORT, TRAVEL = {"sport": 1.0, "travel": 0.0}, {"sport": 0.0, "travel": 1.0}


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("xx")


def read(nlp, path, **settings):
    return list(create_corpus_v1(path=path, **settings)(nlp))


def texts(examples):
    return [eg.reference.text for eg in examples]


def write_docbin(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows_to_docbin(rows).to_disk(path)
    return path


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf8")
    return path


@pytest.fixture
def two_langs(tmp_path):
    """12 English and 12 German documents, half of each about sport."""
    for lang in ("en", "de"):
        rows = [
            Row(f"{lang} {i}", SPORT if i % 2 else TRAVEL, lang, id=f"{lang}{i}") for i in range(12)
        ]
        write_docbin(tmp_path / "train" / f"{lang}.spacy", rows)
    return tmp_path / "train"


WEIRD = ["", " ", "\n\n", "a\0b", "  x  ", "😀👩‍👩‍👧", "สวัสดี", "\r\n\u2028", "一" * 50]


def test_docbin_round_trip_keeps_text_cats_and_user_data(nlp, tmp_path):
    rows = [Row(text, SPORT, "sw", id="7", pair="p", weight=2.0) for text in WEIRD]
    examples = read(nlp, write_docbin(tmp_path / "a.spacy", rows))
    assert texts(examples) == WEIRD
    for eg in examples:
        assert isinstance(eg, Example)
        assert eg.predicted.text == eg.reference.text
        assert eg.predicted.cats == {} and eg.reference.cats == SPORT
        assert eg.reference._.xlt_lang == "sw" and eg.reference._.xlt_weight == 2.0
        assert eg.reference.user_data["xlt_id"] == "7"
        assert eg.reference.user_data["xlt_pair"] == "p"


def test_directory_is_read_in_sorted_order_and_each_time_alike(nlp, two_langs):
    reader = create_corpus_v1(path=two_langs)
    first, second = texts(reader(nlp)), texts(reader(nlp))
    assert first == second == [f"de {i}" for i in range(12)] + [f"en {i}" for i in range(12)]


def test_references_are_fresh_docs_of_the_pipeline(nlp, two_langs):
    reader = create_corpus_v1(path=two_langs)
    first, second = list(reader(nlp)), list(reader(nlp))
    assert first[0].reference is not second[0].reference
    assert first[0].reference.vocab is nlp.vocab


def test_large_files_are_read_again_instead_of_kept(nlp, two_langs, monkeypatch):
    monkeypatch.setattr("spacy_xlt.corpora.reader.MAX_KEPT_BYTES", 10)
    reader = create_corpus_v1(path=two_langs, shots=2)
    assert texts(reader(nlp)) == texts(reader(nlp))
    assert reader._kept is None


def test_docbin_made_without_this_package(nlp, tmp_path):
    """Other attributes, entities, no user data: language unknown, other annotation kept."""
    doc = nlp("Nairobi wins")
    doc.cats = SPORT
    doc.set_ents([doc.char_span(0, 7, label="LOC")])
    unlabelled = Doc(nlp.vocab, words=["no", "spaces", "known"])
    DocBin(attrs=["ENT_IOB", "ENT_TYPE", "LEMMA"], docs=[doc, unlabelled]).to_disk(
        tmp_path / "en.spacy"
    )
    examples = read(nlp, tmp_path)
    assert texts(examples) == ["Nairobi wins", "no spaces known "]
    assert [eg.reference._.xlt_lang for eg in examples] == ["", ""]
    assert [ent.label_ for ent in examples[0].reference.ents] == ["LOC"]
    assert examples[1].reference.cats == {}


def test_spacy_corpus_reads_our_docbin(nlp, two_langs):
    assert sorted(eg.text for eg in SpacyCorpus(two_langs)(nlp)) == sorted(
        texts(read(nlp, two_langs))
    )


def test_language_tags_are_standardised(nlp, tmp_path):
    doc = nlp("habari")
    doc.cats, doc._.xlt_lang = SPORT, "swh_Latn"
    DocBin(store_user_data=True, docs=[doc]).to_disk(tmp_path / "a.spacy")
    assert read(nlp, tmp_path)[0].reference._.xlt_lang == "sw"
    assert len(read(nlp, tmp_path, langs=["swh"])) == 1


def test_bad_language_tag_in_a_docbin_names_the_file(nlp, tmp_path):
    doc = nlp("habari")
    doc.cats, doc._.xlt_lang = SPORT, "no language"
    DocBin(store_user_data=True, docs=[doc]).to_disk(tmp_path / "a.spacy")
    with pytest.raises(ValueError, match=r"a\.spacy'.*'no language' is not a language tag"):
        read(nlp, tmp_path)


def test_jsonl(nlp, tmp_path):
    path = write_jsonl(
        tmp_path / "a.jsonl",
        [
            {"text": "one", "label": "sport", "lang": "deu", "id": 3, "xlt_weight": 0.5},
            {"text": "two", "cats": {"sport": 0.3, "travel": 0.7}},
            {"text": "", "label": ["sport", "food"]},
        ],
    )
    one, two, three = (eg.reference for eg in read(nlp, path))
    assert one.cats == {"food": 0.0, "sport": 1.0, "travel": 0.0}
    assert (one._.xlt_lang, one._.xlt_weight, one.user_data["xlt_id"]) == ("de", 0.5, "3")
    assert two.cats == {"sport": 0.3, "travel": 0.7} and two._.xlt_lang == ""
    assert three.text == "" and three.cats == {"food": 1.0, "sport": 1.0, "travel": 0.0}


def test_jsonl_labels_are_known_across_files(nlp, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "one", "label": "sport"}])
    write_jsonl(tmp_path / "b.jsonl", [{"text": "two", "label": "travel"}])
    assert [eg.reference.cats for eg in read(nlp, tmp_path)] == [SPORT, TRAVEL]


@pytest.mark.parametrize(
    "line, reason",
    [
        (b"{", "not JSON"),
        (b"[1]", "holds list, expected a JSON object"),
        (b'{"label": "sport"}', "no text"),
        (b'{"text": 3, "label": "sport"}', "text is int, expected a string"),
        (b'{"text": "\xff", "label": "sport"}', "undecodable bytes: not UTF-8"),
        (b'{"text": "\\ud800", "label": "sport"}', "lone surrogate"),
        (b'{"text": "x"}', "no label"),
        (b'{"text": "x", "cats": {"sport": 2}}', "score of 'sport' is 2"),
        (b'{"text": "x", "label": "sport", "lang": "??"}', "is not a language tag"),
    ],
)
def test_jsonl_faults_name_file_and_line(nlp, tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "fine", "label": "sport"}\n\n' + line + b"\n")
    with pytest.raises(ValueError, match=rf"a\.jsonl:3: .*{reason}"):
        read(nlp, path)


def test_langs_restrict_the_path_only(nlp, two_langs, tmp_path):
    source = write_docbin(tmp_path / "src.spacy", [Row("bonjour", SPORT, "fr")])
    examples = read(nlp, two_langs, langs=["deu"], source_path=str(source))
    assert [eg.reference._.xlt_lang for eg in examples] == ["fr"] + ["de"] * 12


def test_unknown_language_lists_those_present(nlp, two_langs):
    with pytest.raises(ValueError, match=r"No document in sw \(Swahili\).*found there: de, en\."):
        read(nlp, two_langs, langs=["de", "swh"])


def test_unknown_language_where_none_is_recorded(nlp, tmp_path):
    path = write_docbin(tmp_path / "a.spacy", [Row("x", SPORT)])
    with pytest.raises(ValueError, match="found there: none recorded"):
        read(nlp, path, langs=["de"])


def test_shots_per_label_and_language(nlp, two_langs):
    examples = read(nlp, two_langs, shots=2)
    seen = [(eg.reference._.xlt_lang, eg.reference.cats["sport"]) for eg in examples]
    assert (
        sorted(seen)
        == [("de", 0.0)] * 2 + [("de", 1.0)] * 2 + [("en", 0.0)] * 2 + [("en", 1.0)] * 2
    )


def test_shots_draw_ignores_file_order_and_follows_the_seed(nlp, two_langs, tmp_path):
    rows = [
        Row(f"{lang} {i}", SPORT if i % 2 else TRAVEL, lang, id=f"{lang}{i}")
        for i in reversed(range(12))
        for lang in ("en", "de")
    ]
    other = write_docbin(tmp_path / "other.spacy", rows)
    drawn = sorted(texts(read(nlp, two_langs, shots=3)))
    assert drawn == sorted(texts(read(nlp, other, shots=3)))
    assert drawn != sorted(texts(read(nlp, other, shots=3, seed=1)))


def test_too_few_documents_for_the_shots_is_a_warning(nlp, two_langs):
    with pytest.warns(UserWarning, match=r"In German fewer than 7 .* sport \(6\), travel \(6\)"):
        assert len(read(nlp, two_langs, shots=7, langs=["de"])) == 12


def test_source_comes_first_and_whole(nlp, two_langs, tmp_path):
    source = write_docbin(tmp_path / "s.spacy", [Row(f"s{i}", SPORT, "en") for i in range(9)])
    examples = read(nlp, two_langs, langs=["de"], shots=1, source_path=source)
    assert texts(examples)[:9] == [f"s{i}" for i in range(9)] and len(examples) == 11


def test_limit(nlp, two_langs):
    assert len(read(nlp, two_langs, limit=5)) == 5


def test_list_of_paths(nlp, two_langs):
    paths = [str(two_langs / "en.spacy"), str(two_langs / "de.spacy")]
    assert texts(read(nlp, paths))[0] == "en 0"


def test_augmenter(nlp, two_langs):
    def twice(nlp, example):
        yield from [example, example]

    assert len(read(nlp, two_langs, augmenter=twice)) == 48


@pytest.mark.parametrize("path", [None, "", []])
def test_no_path(path):
    with pytest.raises(ValueError, match=r"No path to a corpus is given\. Set paths\.train"):
        create_corpus_v1(path=path)


def test_missing_path(nlp, tmp_path):
    with pytest.raises(ValueError, match=r"There is no corpus at .*paths\.train"):
        read(nlp, tmp_path / "nothing")


def test_directory_without_corpora(nlp, tmp_path):
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / ".hidden.jsonl").write_text("{}")
    with pytest.raises(ValueError, match="holds no corpus: no file that ends in .spacy or .jsonl"):
        read(nlp, tmp_path)


def test_other_file(nlp, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n")
    with pytest.raises(ValueError, match=r"is not a corpus file.*data import a\.csv OUT"):
        read(nlp, tmp_path / "a.csv")


def test_whole_corpus_instead_of_a_split(nlp, tmp_path):
    rows = [Row("a", SPORT, "en", split="train"), Row("b", SPORT, "en", split="test")]
    write_corpus(tmp_path / "c", Corpus(rows))
    with pytest.raises(ValueError, match="several splits. Name one of them: .*test, .*train"):
        read(nlp, tmp_path / "c")


@pytest.mark.parametrize("size", [0, 5, 40, -1])
def test_damaged_docbin_names_the_file(nlp, tmp_path, size):
    path = write_docbin(tmp_path / "a.spacy", [Row("x", SPORT)] * 20)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"a\.spacy' is not a readable DocBin.*data import"):
        read(nlp, path)


def test_foreign_bytes_are_no_docbin(nlp, tmp_path):
    (tmp_path / "a.spacy").write_text("hello")
    with pytest.raises(ValueError, match="not a readable DocBin"):
        read(nlp, tmp_path)


def test_damaged_document_in_a_docbin_names_the_file(nlp, tmp_path):
    docbin = rows_to_docbin([Row("x", SPORT, "en")])
    docbin.user_data = [b"\xc1"]
    docbin.to_disk(tmp_path / "a.spacy")
    with pytest.raises(ValueError, match=r"a\.spacy'.* a document in it is damaged"):
        read(nlp, tmp_path)


def test_no_labelled_document(nlp, tmp_path):
    path = write_docbin(tmp_path / "a.spacy", [Row("x", {}), Row("y", {})])
    with pytest.raises(ValueError, match="none of the 2 documents is labelled"):
        read(nlp, path)


def test_too_long_document(nlp, tmp_path):
    path = write_docbin(tmp_path / "a.spacy", [Row("x" * 1_000_001, SPORT)])
    with pytest.raises(ValueError, match=r"has 1,000,001 characters, more than nlp\.max_length"):
        read(nlp, path)


@pytest.mark.parametrize("setting", ["shots", "limit"])
def test_negative_numbers_are_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} is -1; expected 0"):
        create_corpus_v1(path="x", **{setting: -1})


def test_empty_langs_are_refused():
    with pytest.raises(ValueError, match="langs is an empty list"):
        create_corpus_v1(path="x", langs=[])


def test_bad_langs_are_refused():
    with pytest.raises(ValueError, match="'Deutsch' is not a language tag"):
        create_corpus_v1(path="x", langs=["Deutsch"])


def test_is_found_in_the_registry_and_resolves_from_a_config(nlp, two_langs):
    config = {"corpus": {"@readers": "spacy_xlt.Corpus.v1", "path": str(two_langs), "shots": 1}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader = spacy.registry.resolve(config)["corpus"]
    assert len(list(reader(nlp))) == 4
    config["corpus"].update(path=[str(two_langs / "en.spacy")], langs=["en"], source_path=None)
    assert len(list(spacy.registry.resolve(config)["corpus"](nlp))) == 2


def weights_by_label(examples):
    return {
        max(eg.reference.cats, key=eg.reference.cats.get): eg.reference._.xlt_weight
        for eg in examples
    }


@pytest.fixture
def uneven_source(tmp_path):
    """Three documents about sport, one about travel."""
    rows = [Row(f"en {i}", SPORT if i else TRAVEL, "en") for i in range(4)]
    return write_docbin(tmp_path / "source.spacy", rows)


def test_shots_count_as_labels_do_in_the_source(nlp, two_langs, uneven_source):
    settings = {"path": two_langs, "langs": ["de"], "shots": 2, "source_path": uneven_source}
    examples = read(nlp, class_mix="source", **settings)
    assert {eg.reference._.xlt_weight for eg in examples[:4]} == {1.0}
    assert weights_by_label(examples[4:]) == {"sport": 1.5, "travel": 0.5}
    assert set(weights_by_label(read(nlp, **settings)).values()) == {1.0}


def test_labels_may_all_count_the_same(nlp, uneven_source):
    reader = create_corpus_v1(path=uneven_source, class_mix="even")
    wanted = {"sport": 2 / 3, "travel": 2.0}
    # Read twice: what an earlier reading weighed is not weighed again.
    for _ in range(2):
        assert weights_by_label(reader(nlp)) == pytest.approx(wanted)


def test_the_mix_is_on_top_of_documents_own_weights(nlp, tmp_path):
    rows = [Row(str(i), SPORT if i else TRAVEL, "sw", weight=4.0) for i in range(3)]
    path = write_docbin(tmp_path / "a.spacy", [*rows, Row("no labels", {}, "sw", weight=4.0)])
    found = [eg.reference._.xlt_weight for eg in read(nlp, path, class_mix="even")]
    assert found == pytest.approx([6.0, 3.0, 3.0, 4.0])


def test_a_mix_of_no_source_is_refused(two_langs):
    with pytest.raises(ValueError, match='class_mix is "source", but there is no source_path'):
        create_corpus_v1(path=two_langs, class_mix="source")

import pytest

from spacy_xlt.corpora.layout import read_corpus
from spacy_xlt.corpora.sib200 import find_sib200, import_sib200

SIZES = {"train": 6, "dev": 2, "test": 3}


def make(root, codes=("eng_Latn", "swh_Latn", "zho_Hans")):
    for code in codes:
        start = 0
        (root / code).mkdir(parents=True)
        for split, size in SIZES.items():
            lines = [
                f'{i}\t{"travel" if i % 3 else "sports"}\t{code} "sentence {i}\n'
                for i in range(start, start + size)
            ]
            (root / code / f"{split}.tsv").write_text("index_id\tcategory\ttext\n" + "".join(lines))
            start += size
    return root


@pytest.mark.parametrize("inside", ["", "data/annotated"])
def test_import(tmp_path, inside):
    root = tmp_path / "sib"
    make(root / inside)
    record = import_sib200(root, tmp_path / "out")
    counts = {
        split: {lang: part["documents"] for lang, part in langs.items()}
        for split, langs in record["counts"].items()
    }
    assert counts == {s: {"en": n, "sw": n, "zh": n} for s, n in SIZES.items()}
    first = read_corpus(tmp_path / "out").rows[0]
    assert (first.text, first.id, first.labels) == ('eng_Latn "sentence 0', "0", ["sports"])
    assert {s["licence"] for s in record["sources"]} == {"CC BY-SA 4.0"}
    assert record["sources"][0]["name"] == "eng_Latn/train.tsv"
    assert record["sources"][0]["address"] == "https://github.com/dadelani/sib-200"


def test_languages_by_code_or_tag(tmp_path):
    found = find_sib200(make(tmp_path), ["zh", "eng_Latn", "zho_Hans"])
    assert [s.name for s in found] == [
        f"{code}/{split}.tsv" for code in ("zho_Hans", "eng_Latn") for split in SIZES
    ]


@pytest.mark.parametrize("ids, kept", [("even", {0, 2, 4}), ("odd", {1, 3, 5})])
def test_ids_filter_training_only(tmp_path, ids, kept):
    record = import_sib200(make(tmp_path / "sib"), tmp_path / "out", ids=ids)
    rows = read_corpus(tmp_path / "out").rows
    assert {int(r.id) for r in rows if r.split == "train"} == kept
    assert {int(r.id) for r in rows if r.split == "test"} == {8, 9, 10}
    assert record["sources"][0]["left_out"] == 3


def test_even_and_odd_share_no_sentence(tmp_path):
    make(tmp_path / "sib")
    import_sib200(tmp_path / "sib", tmp_path / "a", langs=["en"], ids="even")
    import_sib200(tmp_path / "sib", tmp_path / "b", langs=["sw"], ids="odd")
    a, b = (
        {r.id for r in read_corpus(tmp_path / name).rows if r.split == "train"} for name in "ab"
    )
    assert a and b and not a & b


def test_unknown_language(tmp_path):
    with pytest.raises(ValueError, match=r"no language 'de'\. It has: en \(eng_Latn\), sw \(swh"):
        find_sib200(make(tmp_path), ["de"])


@pytest.mark.parametrize("name", ["", "nothing"])
def test_something_else(tmp_path, name):
    with pytest.raises(ValueError, match="does not hold SIB-200: there is no <code>/train.tsv"):
        find_sib200(tmp_path / name)


def test_bad_ids(tmp_path):
    with pytest.raises(ValueError, match="ids is 'prime'. Allowed are even and odd"):
        import_sib200(make(tmp_path / "sib"), tmp_path / "out", ids="prime")


def test_bad_row(tmp_path):
    root = make(tmp_path / "sib")
    with (root / "swh_Latn" / "dev.tsv").open("a") as file:
        file.write("broken\n")
    with pytest.raises(ValueError, match=r"swh_Latn/dev\.tsv:4: 1 columns, expected 3"):
        import_sib200(root, tmp_path / "out")
    record = import_sib200(root, tmp_path / "out", on_error="skip")
    assert sum(s["rejected"] for s in record["sources"]) == 1


def test_id_that_is_no_number(tmp_path):
    root = make(tmp_path / "sib")
    with (root / "swh_Latn" / "train.tsv").open("a") as file:
        file.write("x7\ttravel\ttext\n")
    with pytest.raises(ValueError, match="'x7'"):
        import_sib200(root, tmp_path / "out", ids="odd")

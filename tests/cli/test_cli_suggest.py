import json
from collections import Counter

import pytest
import tiny
from running import run_command
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_xlt.cli.suggest import suggest


@pytest.fixture
def pool(tmp_path):
    """Sentences of four languages, each twice, without labels."""
    rows = [
        {"text": line.format(word), "lang": lang, "id": f"{lang}-{i}"}
        for lang in ("de", "sw", "zh", "ar")
        for line in tiny.SENTENCES[lang]
        for i, word in enumerate(["pizza", "jazz", "taxi", "opera"])
        for _ in range(2)
    ]
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    return path


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


@pytest.mark.parametrize("strategy", ["mix", "uncertainty", "diversity", "random"])
def test_texts_to_label_of_several_languages(strategy, trained_dir, pool, tmp_path):
    def run(name, *extra):
        run_command(
            *("suggest", trained_dir, pool, "--n", 10, "--strategy", strategy),
            *("--output", tmp_path / name, *extra),
        )
        return read(tmp_path / name)

    rows = run("out.jsonl")
    assert len(rows) == len({row["text"] for row in rows}) == 10
    sent = {row["text"]: row for row in read(pool)}
    for row in rows:
        assert {key: row[key] for key in ("lang", "id")} == {
            key: sent[row["text"]][key] for key in ("lang", "id")
        }
        assert row["predicted"] in tiny.LABELS and 0 <= row["uncertainty"] <= 2 / 3
        assert row["probability"] == pytest.approx(1 - row["uncertainty"], abs=1e-3)
        assert {
            "mix": "in doubt between" in row["reason"] and "nearest to" in row["reason"],
            "uncertainty": row["reason"].startswith("in doubt between"),
            "diversity": row["reason"].startswith("nearest to"),
            "random": row["reason"] == "drawn at random",
        }[strategy]
    assert run("again.jsonl") == rows
    rows = run("more.jsonl", "--minimum", 2)
    assert {row["lang"] for row in rows} == {"de", "sw", "zh", "ar"}


def test_the_table_says_how_many_and_what_was_left_out(trained_dir, pool, corpus_dir, tmp_path):
    text = run_command("suggest", trained_dir, pool, "--n", 8, "--labelled", corpus_dir / "dev")
    assert "Expected accuracy" in text and "Swahili sw" in text
    assert "that came before" in text
    assert "labelled already" in text
    assert "To get the texts, name a file with --output" in text
    assert "The more wrong answers a language is expected to have" in text
    text = run_command("suggest", trained_dir, pool, "--n", 8, "--goal", "worst")
    assert "Labels go where most answers are expected to be wrong" in text


def test_labelled_texts_are_not_suggested_again(trained, pool, corpus_dir):
    found = suggest(trained, [pool], 1000, labelled=[corpus_dir / "dev"])
    labelled = {doc.text for doc in tiny.make_docs(["de", "sw", "zh", "ar"], Vocab(), every=4)}
    texts = {task.text for task in found.tasks}
    assert texts and not texts & labelled
    assert sum(share.n_texts for share in found.shares) == len(texts)
    assert found.left_out["labelled already"] > 0


def test_languages_and_the_worst_of_them(trained, pool):
    found = suggest(trained, [pool], 12, goal="worst")
    by_lang = {share.lang: share for share in found.shares}
    worst = min(by_lang.values(), key=lambda share: share.expected)
    assert worst.n_chosen == max(share.n_chosen for share in found.shares) > 12 / 4
    assert Counter(task.lang for task in found.tasks) == {
        share.lang: share.n_chosen for share in found.shares if share.n_chosen
    }
    (share,) = suggest(trained, [pool], 3, langs=["deu"]).shares
    assert (share.lang, share.n_texts, share.n_chosen) == ("de", 12, 3)


def test_pools_of_all_kinds(trained, tmp_path):
    docs = tiny.make_docs(["sw"], Vocab())[:3]
    for i, doc in enumerate(docs):
        doc.cats, doc.user_data["xlt_id"] = {}, f"n{i}"
    folder = tmp_path / "pool"
    folder.mkdir()
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "sw.spacy")
    (folder / "de.jsonl").write_text('{"text": "wir wollen heute pizza", "lang": "deu"}\n')
    (tmp_path / "plain.txt").write_text("pizza\n\n  \ntaxi\n")
    (tmp_path / "table.csv").write_text("body,sprache\njazz,fr\nopera,\n")
    found = suggest(trained, [folder, tmp_path / "plain.txt"], 10)
    assert Counter(task.lang for task in found.tasks) == {"sw": 3, "de": 1, "": 2}
    assert {task.id for task in found.tasks if task.lang == "sw"} == {"n0", "n1", "n2"}
    assert found.left_out == {"empty": 2}
    found = suggest(trained, [tmp_path / "table.csv"], 10, text_field="body", lang_field="sprache")
    assert [task.lang for task in found.tasks] == ["", "fr"]


@pytest.mark.parametrize("format", ["prodigy", "doccano", "label-studio"])
def test_files_for_annotation_tools(format, trained_dir, pool, tmp_path):
    path = tmp_path / ("out.json" if format == "label-studio" else "out.jsonl")
    text = run_command("suggest", trained_dir, pool, "--n", 5, "--format", format, "--output", path)
    assert "✔ Texts to label:" in text
    if format == "label-studio":
        tasks = json.loads(path.read_text(encoding="utf8"))
        assert '<Choices name="label" toName="text" choice="single">' in text
        assert all(task["data"]["text"] and task["predictions"] for task in tasks)
    else:
        tasks = read(path)
        assert all(task["text"] for task in tasks)
    assert len(tasks) == 5


def test_label_studio_wants_a_list_in_a_json_file(trained_dir, pool, tmp_path):
    arguments = ("suggest", trained_dir, pool, "--format", "label-studio")
    text = run_command(*arguments, "--output", tmp_path / "out.jsonl", code=1)
    assert "Label Studio reads tasks from files that end in .json" in text


def test_equal_texts_and_too_few(trained_dir, tmp_path):
    (tmp_path / "pool.txt").write_text("pizza\n" * 50)
    out = tmp_path / "out.jsonl"
    text = run_command("suggest", trained_dir, tmp_path / "pool.txt", "--output", out)
    assert "49 that came before" in text
    assert "100 texts were asked for, but there are no more than these" in text
    assert [row["text"] for row in read(out)] == ["pizza"]
    assert read(out)[0]["lang"] == ""


def test_nothing_to_suggest(trained_dir, corpus_dir, tmp_path):
    (tmp_path / "pool.txt").write_text("\n\n")
    text = run_command("suggest", trained_dir, tmp_path / "pool.txt", code=1)
    assert "No text is left to suggest. Left out: 2 empty." in text
    (tmp_path / "none.txt").write_text("")
    text = run_command("suggest", trained_dir, tmp_path / "none.txt", code=1)
    assert "Left out: none" in text
    dev = corpus_dir / "dev"
    text = run_command("suggest", trained_dir, dev, "--labelled", dev, code=1)
    assert "labelled already. Give texts that have no label yet" in text


def test_scores_that_are_withheld_count_too(trained, pool):
    wanted = suggest(trained, [pool], 3, strategy="uncertainty")
    pipe = trained.get_pipe("textcat")
    pipe.set_calibration({"set_thresholds": {"": 0.0}, "coverage": 0.9})
    pipe.set_abstaining("coverage", zero_scores=True)
    assert suggest(trained, [pool], 3, strategy="uncertainty") == wanted


def test_other_components_and_scores_that_are_no_numbers(make_pipeline, standin, tmp_path):
    pipeline = make_pipeline()
    (tmp_path / "pool.txt").write_text("A\nB:0.4\nNAN\nNONE\nA:0.6\n")
    out = tmp_path / "out.jsonl"
    arguments = ("suggest", pipeline, tmp_path / "pool.txt", "--code", standin, "--output", out)
    text = run_command(*arguments, "--strategy", "uncertainty")
    assert "2 without usable scores" in text
    assert [row["text"] for row in read(out)] == ["B:0.4", "A:0.6", "A"]
    text = run_command(*arguments, code=1)
    assert "so it makes no vectors of texts. Allowed are --strategy uncertainty and random" in text
    (tmp_path / "pool.txt").write_text("NAN\nNONE\n")
    text = run_command(*arguments, "--strategy", "uncertainty", code=1)
    assert "Left out: 2 without usable scores" in text


def test_independent_labels(make_pipeline, standin, tmp_path):
    pipeline = make_pipeline("standin_textcat_multilabel")
    (tmp_path / "pool.txt").write_text("A B\nA B:0.55\nA:0.3\nA:0.0 B:0.0\n")
    out = tmp_path / "out.jsonl"
    run_command(
        *("suggest", pipeline, tmp_path / "pool.txt", "--code", standin, "--output", out),
        *("--strategy", "uncertainty"),
    )
    rows = read(out)
    assert [row["text"] for row in rows] == ["A B:0.55", "A:0.3", "A B", "A:0.0 B:0.0"]
    assert [row["predicted"] for row in rows] == ["A, B", "", "A, B", ""]
    assert rows[0]["reason"] == "in doubt: B (0.55)"


@pytest.mark.parametrize(
    "content, message",
    [
        ('{"text": "pizza", "lang": "klingonisch!"}\n', "pool.jsonl:1: 'klingonisch!' is not a"),
        ('{"body": "pizza"}\n', "pool.jsonl:1: no field 'text'"),
        ("pizza\n", "pool.jsonl:1: not JSON"),
    ],
)
def test_bad_rows_are_named(content, message, trained_dir, tmp_path):
    (tmp_path / "pool.jsonl").write_text(content)
    assert message in run_command("suggest", trained_dir, tmp_path / "pool.jsonl", code=1)


def test_texts_that_are_not_there(trained_dir, tmp_path):
    text = run_command("suggest", trained_dir, tmp_path / "gone.spacy", code=1)
    assert "There is no file or directory" in text and "with texts" in text


def test_long_documents_are_named(trained, tmp_path):
    DocBin(docs=tiny.make_docs(["sw"], Vocab())[:2]).to_disk(tmp_path / "sw.spacy")
    trained.max_length = 5
    with pytest.raises(ValueError, match="sw.spacy, document 1: the text has .* characters"):
        suggest(trained, [tmp_path / "sw.spacy"], 1)


def test_odd_settings(trained_dir, pool, tmp_path):
    def fail(*arguments):
        return run_command("suggest", trained_dir, pool, *arguments, code=1)

    assert "The format is 'xml'; allowed are: jsonl, prodigy" in fail("--format", "xml")
    assert "The strategy is 'best'; allowed are" in fail("--strategy", "best")
    assert "The goal is 'all'; allowed are" in fail("--goal", "all")
    assert "suggest is 0; allowed is 1 or more" in fail("--n", 0)
    assert "No text in: fr. Languages of the texts: ar, de, sw, zh" in fail("--langs", "fr")
    assert "is more than 10 in all" in fail("--n", 10, "--minimum", 3)

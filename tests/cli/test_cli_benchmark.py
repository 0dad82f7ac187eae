import json

import pytest
from typer.testing import CliRunner

from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli.benchmark import benchmark, draw_evenly


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = ["pizza for everybody", "", "这里有taxi吗", "taxi " * 200, "", *map(str, range(30))]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    return path


def run(*arguments):
    result = CliRunner().invoke(xlt_cli, ["benchmark", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def said(result):
    """Output of a run that failed, spaces and line breaks as one space."""
    assert result.exit_code == 1
    return " ".join(result.output.split())


def test_all_figures_of_a_trained_pipeline(trained_dir, texts, tmp_path):
    output = tmp_path / "speed.json"
    result = run(trained_dir, texts, "--n-texts", 20, "--runs", 2, "--output", output)
    assert result.exit_code == 0, result.output
    speed = json.loads(output.read_text(encoding="utf8"))
    assert (speed["n_texts"], speed["n_runs"]) == (20, 2)
    # Each text has its two special pieces, and an empty one has nothing else.
    assert speed["n_pieces"] > 20 * 2
    assert speed["pieces_per_second"]["median"] > speed["docs_per_second"]["median"]
    assert speed["load_seconds"]["median"] > 0
    assert speed["disk_bytes"] == sum(
        file.stat().st_size for file in trained_dir.rglob("*") if file.is_file()
    )
    encoder = speed["encoder"]
    assert (encoder["device"], encoder["precision"]) == ("cpu", "float32")
    assert 0 < encoder["product_share"] < 1.5
    assert encoder["overhead"] > -0.5
    (corpus,) = speed["signature"]["corpora"]
    assert corpus["path"] == str(texts)
    # No unit: the peak is that of the whole test run, which may have passed a gigabyte.
    for line in (
        *("Documents per second", "One text at a time", "Loading, imports done"),
        *("Peak memory", "Size on disk"),
    ):
        assert line in result.output


def test_texts_come_from_tables_text_files_and_corpora(trained_dir, tmp_path):
    from spacy.tokens import Doc, DocBin
    from spacy.vocab import Vocab

    docs = [Doc(Vocab(), words=["pizza"]), Doc(Vocab(), words=["a", "taxi"])]
    for doc in docs:
        doc.cats = {"A": 1.0}
    folder = tmp_path / "corpus"
    folder.mkdir()
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "en.spacy")
    (tmp_path / "texts.txt").write_text("pizza\na taxi\n")
    (tmp_path / "texts.csv").write_text("body\npizza\na taxi \n")
    counts = [
        benchmark(str(trained_dir), path, n_texts=4, n_runs=1, text_field=field)["n_characters"]
        for path, field in (
            (folder, "text"),
            (folder / "en.spacy", "text"),
            (tmp_path / "texts.txt", "text"),
            (tmp_path / "texts.csv", "body"),
        )
    ]
    assert counts == [13, 13, 11, 12]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("texts.txt", "", "holds no text"),
        ("texts.jsonl", '{"body": "pizza"}\n', "texts.jsonl:1: no field 'text'"),
        ("texts.csv", "text\npizza\n\xff\n", "undecodable"),
    ],
)
def test_bad_input_is_one_message(trained_dir, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content.encode("latin1"))
    assert message in said(run(trained_dir, tmp_path / name))


def test_missing_files_and_odd_settings(trained_dir, texts, tmp_path):
    assert "nowhere" in said(run(trained_dir, tmp_path / "nowhere"))
    assert "cannot be loaded" in said(run(tmp_path / "nowhere", texts))
    assert "allowed is 1 or more" in said(run(trained_dir, texts, "--n-texts", 0))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10])
def test_texts_are_drawn_from_all_over(n):
    drawn = draw_evenly(list("abbacddeee"), n)
    assert len(drawn) == min(n, 5)
    assert drawn == sorted(set(drawn)) and drawn[0] == "a"

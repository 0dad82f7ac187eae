import csv
import json
from collections import Counter
from pathlib import Path

import pytest
import tiny
from spacy.vocab import Vocab
from typer.testing import CliRunner

from spacy_xlt import files
from spacy_xlt.cli import _estimate, xlt_cli
from spacy_xlt.cli import project as module
from spacy_xlt.cli._estimate import (
    WORKLOADS,
    Speed,
    Workload,
    describe_seconds,
    encoder_bytes,
    estimate_needs,
    estimate_workload,
    layer_weights,
    measure_speed,
    total_memory,
)
from spacy_xlt.cli.project import count_targets, describe_inputs, import_data, split_names
from spacy_xlt.corpora.layout import read_corpus

SMALL = "multilingual-e5-small"


def run(*arguments):
    """Exit code and output, spaces and line breaks as one space."""
    result = CliRunner().invoke(xlt_cli, ["project", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty project directory, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_estimate, "measure_speed", lambda device: Speed(device, "float32", 1e11))
    return tmp_path


@pytest.fixture
def own_file(here):
    """A user's own file: every text of the tiny corpus."""
    path = here / "my file.csv"
    with path.open("w", newline="", encoding="utf8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label", "lang"])
        for doc in tiny.make_docs(tiny.SENTENCES, Vocab()):
            table.writerow([doc.text, max(doc.cats, key=doc.cats.get), doc._.xlt_lang])
    return path


@pytest.fixture
def sib200(here):
    """Two languages in the layout of SIB-200, the same sentences in both."""
    for code in ("eng_Latn", "swh_Latn"):
        folder = here / "assets" / "sib200" / code
        folder.mkdir(parents=True)
        for split, n in (("train", 12), ("dev", 6), ("test", 8)):
            rows = [f"{split}-{i}\t{'ab'[i % 2]}\t{code} {split} sentence {i}" for i in range(n)]
            rows = [row.replace(f"{split}-", str(len(split)), 1) for row in rows]
            text = "\n".join(["index_id\tcategory\ttext", *rows]) + "\n"
            (folder / f"{split}.tsv").write_text(text, encoding="utf8")
    return here / "assets" / "sib200"


def splits(path):
    return Counter((row.lang, row.split) for row in read_corpus(path).rows)


# -- plan -----------------------------------------------------------------------------------


def test_the_plan_says_what_it_takes_and_records_inputs(here, own_file, encoder_dir):
    given = ["plan", "inputs", "--data", own_file.name, "--encoder", encoder_dir]
    code, output = run(*given, "--target-langs", "", "--shots", 4, "--epochs", 2)
    assert code == 0, output
    n_rows = 1 + len(tiny.make_docs(tiny.SENTENCES, Vocab()))
    assert f"my file.csv, up to {int(0.8 * n_rows)} source documents to train on" in output
    assert "Download none" in output
    assert "Disk" in output and "Memory" in output and "GFLOP/s" in output
    assert "3 minutes, besides the download" in output
    records = {path.stem: json.loads(path.read_text()) for path in (here / "inputs").iterdir()}
    assert set(records) == {"data", "encoder", "code"}
    assert list(records["data"]["files"]) == ["my file.csv"]
    assert records["data"]["packages"] == {} and records["data"]["dataset"] == ""
    assert "model.safetensors" in " ".join(records["encoder"]["files"])
    assert set(records["code"]) == set(module.CODE_PACKAGES)
    before = {path: path.read_bytes() for path in (here / "inputs").iterdir()}
    assert run(*given)[0] == 0
    assert before == {path: path.read_bytes() for path in (here / "inputs").iterdir()}
    own_file.write_text(own_file.read_text() + "one more,food,en\n")
    assert run(*given)[0] == 0
    changed = [path.stem for path, data in before.items() if path.read_bytes() != data]
    assert changed == ["data"]


def test_the_plan_of_the_embedded_data_set(here):
    code, output = run("plan", "inputs")
    assert code == 0
    assert "assist, up to 1,832 source documents to train on" in output
    assert f"{8 * 48 * 31:,} target documents" in output
    assert f"{SMALL}, 488 MB" in output and "Download up to 488 MB" in output
    record = json.loads((here / "inputs" / "data.json").read_text())
    assert set(record["packages"]) == {"home-assistant-intents", "hassil"}
    assert json.loads((here / "inputs" / "encoder.json").read_text()) == {
        "name": SMALL,
        "files": {},
    }


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--dataset", "nope"], "no data set 'nope'. Data sets are: assist, sib200. Your own file"),
        (["--data", "nope.csv"], "There are no data at 'nope.csv'."),
        (["--dataset", "sib200"], "Fetch it with: python -m spacy project assets . --extra"),
        (["--encoder", "nope"], "There is no encoder 'nope': it is not a directory, and not one"),
        (["--gpu-id", 99], "GPU 99 was asked for"),
    ],
)
def test_what_a_plan_finds_missing(arguments, message, here):
    code, output = run("plan", "inputs", *arguments)
    assert code == 1
    assert message in output and "Traceback" not in output
    assert list(here.iterdir()) == []


def test_a_plan_without_the_data_set_s_package_or_room(here, monkeypatch):
    from spacy_xlt import compat

    with monkeypatch.context() as patch:

        def missing(module):
            raise ImportError(module)

        patch.setattr(compat, "import_module", missing)
        code, output = run("plan", "inputs")
    assert code == 1 and "pip install 'spacy-xlt[assist]'" in output
    usage = files.shutil.disk_usage(here)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    code, output = run("plan", "inputs")
    assert code == 1 and "Not enough room on the disk" in output and "3.5 GB are needed" in output
    # What earlier runs left counts as room that is there already.
    (here / "training").mkdir()
    with (here / "training" / "weights").open("wb") as file:
        file.truncate(4 * 10**9)
    assert run("plan", "inputs")[0] == 0


def test_a_machine_with_little_memory_is_told(here, monkeypatch):
    monkeypatch.setattr(_estimate, "total_memory", lambda: 10**9)
    code, output = run("plan", "inputs")
    assert code == 0 and "This machine has 1.0 GB of memory, which may be too little" in output
    monkeypatch.setattr(_estimate, "total_memory", lambda: 0)
    assert "too little" not in run("plan", "inputs")[1]


def test_estimates_grow_with_the_work_and_shrink_with_the_machine():
    speed = Speed("cpu", "bfloat16", 2e12)
    assist = WORKLOADS["assist"]
    base = estimate_needs(assist, SMALL, speed, n_finetune=50_000)
    assert 60 < base.seconds < 15 * 60
    assert base.disk_bytes == 7 * encoder_bytes(SMALL)
    assert 2e9 < base.memory_bytes < 2.5e9
    slow = estimate_needs(assist, SMALL, Speed("cpu", "float32", 1e11), n_finetune=50_000)
    more = estimate_needs(assist, SMALL, speed, n_finetune=100_000)
    large = estimate_needs(assist, "xlm-roberta-large", speed, n_finetune=50_000)
    assert base.seconds < more.seconds < slow.seconds
    assert base.seconds < large.seconds and base.disk_bytes < large.disk_bytes


def test_work_of_target_languages_and_own_files(own_file, here):
    all_langs = estimate_workload("assist")
    assert all_langs == WORKLOADS["assist"]
    two = estimate_workload("assist", n_targets=2)
    assert (two.n_train, two.n_groups) == (1_832, 62)
    assert two.n_test == int(all_langs.n_test * 2 / 48)
    (here / "folder").mkdir()
    (here / "folder" / "a.tsv").write_text("text\n" + 10 * ("x" * 99 + "\n"))
    (here / "folder" / "b.tsv").write_text(9 * ("x" * 99 + "\n"))
    own = estimate_workload("assist", own=here / "folder")
    assert own == Workload(16, 10, 10, 10, 21)


def test_sizes_of_encoders(encoder_dir):
    assert layer_weights(SMALL) == 12 * 384**2 * 12
    assert encoder_bytes(SMALL) == 488_000_000
    assert encoder_bytes("xlm-roberta-base") == 4 * (12 * 768**2 * 12 + 250_000 * 768)
    assert layer_weights(str(encoder_dir)) == 12 * 32**2 * 2
    in_files = sum(path.stat().st_size for path in encoder_dir.iterdir())
    assert encoder_bytes(str(encoder_dir)) == in_files


def test_this_machine_is_measured():
    speed = measure_speed("cpu")
    assert speed.device == "cpu" and speed.precision in _estimate.EFFICIENCY
    assert 1e8 < speed.flops < 1e15
    assert total_memory() > 10**8


@pytest.mark.parametrize(
    "seconds, text",
    [
        (1, "1 minute"),
        (89, "1 minute"),
        (91, "2 minutes"),
        (600, "10 minutes"),
        (9000, "2.5 hours"),
    ],
)
def test_times_in_words(seconds, text):
    assert describe_seconds(seconds) == text


def test_memory_is_unknown_where_the_system_does_not_say(monkeypatch):
    monkeypatch.delattr(_estimate.os, "sysconf", raising=False)
    assert total_memory() == 0


def test_empty_names_are_none():
    assert split_names("") is None and split_names(" , ") is None
    assert split_names("de, sw,") == ["de", "sw"]


# -- import ---------------------------------------------------------------------------------


def test_import_of_an_own_file(own_file, here):
    code, output = run("import", "corpus", "--data", own_file, "--target-langs", "", "--seed", 1)
    assert code == 0, output
    assert "The corpus is in corpus" in output
    found = splits(here / "corpus")
    assert set(found) == {
        *(("en", split) for split in ("train", "dev", "test")),
        *((lang, split) for lang in ("de", "sw", "zh", "ar") for split in ("pool", "test")),
    }
    assert run("import", "corpus", "--data", own_file, "--target-langs", "sw,de")[0] == 0
    assert {lang for lang, _ in splits(here / "corpus")} == {"en", "sw", "de"}
    assert run("import", "corpus", "--data", own_file, "--source-lang", "zh")[0] == 0
    assert splits(here / "corpus")["zh", "train"] == found["en", "train"]


def test_import_of_texts_in_one_language_tells_what_to_do(here):
    (here / "a.csv").write_text(
        "text,label\n" + "".join(f"t{i},{'xy'[i % 2]}\n" for i in range(40))
    )
    code, output = run("import", "corpus", "--data", "a.csv", "--source-lang", "de")
    assert code == 0
    assert "There are documents in the source language only" in output
    assert "run the workflow zero-shot" in output
    assert {lang for lang, _ in splits(here / "corpus")} == {"de"}


def test_import_of_sib200(sib200, here):
    code, output = run("import", "corpus", "--dataset", "sib200")
    assert code == 0, output
    assert splits(here / "corpus") == {
        ("en", "train"): 12,
        ("en", "dev"): 6,
        ("en", "test"): 8,
        ("sw", "pool"): 6,
        ("sw", "test"): 8,
    }
    moved = sib200.rename(here / "elsewhere")
    assert run("import", "corpus", "--dataset", "sib200")[0] == 1
    code, _ = run("import", "corpus", "--dataset", "sib200", "--data", moved)
    assert code == 0
    record = import_data(here / "c", dataset="sib200", data=str(moved), target_langs=["sw"])
    assert record["arranged"]["target_langs"] == ["sw"]
    assert [count_targets("sib200", str(moved), langs) for langs in ("", "sw,de")] == [1, 2]
    assert count_targets("assist", "", "") is None
    inputs = describe_inputs("sib200", str(moved), SMALL)["data"]
    assert inputs["dataset"] == "sib200" and len(inputs["files"]) == 6


def test_import_of_the_embedded_data_set(here):
    record = import_data(here / "corpus", dataset="assist", target_langs=["de"], seed=5)
    assert record["name"] == "assist" and record["seed"] == 5
    found = splits(here / "corpus")
    assert set(found) == {
        *(("en", split) for split in ("train", "dev", "test")),
        *(("de", split) for split in ("pool", "test")),
    }


def test_a_bad_row_stops_the_import_and_keeps_the_corpus(own_file, here):
    assert run("import", "corpus", "--data", own_file)[0] == 0
    before = splits(here / "corpus")
    own_file.write_text(own_file.read_text() + ",food,en\n")
    code, output = run("import", "corpus", "--data", own_file)
    assert code == 1 and "rows are bad" in output
    assert splits(here / "corpus") == before


def test_a_language_that_is_not_there_keeps_the_corpus(own_file, here):
    assert run("import", "corpus", "--data", own_file)[0] == 0
    before = splits(here / "corpus")
    code, output = run("import", "corpus", "--data", own_file, "--source-lang", "fr")
    assert code == 1
    assert "No document is in 'fr'. Languages found: ar, de, en, sw, zh." in output
    assert splits(here / "corpus") == before
    assert sorted(path.name for path in here.iterdir()) == ["corpus", "my file.csv"]


# -- summary --------------------------------------------------------------------------------


def test_the_summary_says_how_it_went_and_where_things_are(here, trained_dir, corpus_dir):
    result = CliRunner().invoke(
        xlt_cli,
        [
            *("evaluate", str(trained_dir), str(corpus_dir / "dev"), "--name", "first"),
            *("--output", "metrics.json"),
        ],
    )
    assert result.exit_code == 0, result.output
    Path("report.html").touch()
    arguments = ["summary", "metrics.json", "--report", "report.html", "--package", "p.whl"]
    code, output = run(*arguments)
    assert code == 1 and "There is no 'p.whl'. Run the workflow again." in output
    Path("p.whl").touch()
    code, output = run(*arguments)
    assert code == 0
    mean = json.loads(Path("metrics.json").read_text())["transfer"]["target_accuracy"]
    assert f"first – {100 * mean:.1f}" in output
    assert "Report: report.html" in output
    assert "Package: p.whl Install it with: python -m pip install p.whl" in output.replace(
        "\x1b[0m", ""
    )

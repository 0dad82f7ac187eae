import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_translators import FakeTranslator
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.translation.cache import (
    CachedTranslator,
    create_cached_translator_v1,
    read_translations,
    write_translations,
)
from spacy_xlt.translation.translators import translate_all
from spacy_xlt.types import Translator


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "cache.sqlite"


def test_nothing_is_translated_twice(path):
    translator = FakeTranslator()
    cached = create_cached_translator_v1(translator=translator, path=str(path))
    assert isinstance(cached, Translator) and cached.name == translator.name
    assert cached.translate(["a", "b", "a"]) == ["de:a", "de:b", "de:a"]
    assert cached.translate(["c", "b"]) == ["de:c", "de:b"]
    assert translator.calls == [["a", "b"], ["c"]]
    again = FakeTranslator()
    assert CachedTranslator(again, path).translate(["a", "c"]) == ["de:a", "de:c"]
    assert again.calls == []


def test_translators_share_a_file_and_are_told_apart_by_name(path):
    first, second = FakeTranslator(), FakeTranslator(name="other", translate_one=str.upper)
    assert CachedTranslator(first, path).translate(["a"]) == ["de:a"]
    assert CachedTranslator(second, path).translate(["a"]) == ["A"]
    assert CachedTranslator(first, path).translate(["a"]) == ["de:a"]


def test_a_run_that_failed_goes_on_where_it_was(path):
    broken = FakeTranslator(fails_after=2)
    with pytest.raises(ValueError, match="4 of 5 texts are translated"):
        translate_all(CachedTranslator(broken, path), list("abcde"), batch_size=2)
    whole = FakeTranslator()
    translated = translate_all(CachedTranslator(whole, path), list("abcde"), batch_size=2)
    assert translated == [f"de:{x}" for x in "abcde"] and whole.calls == [["e"]]


def test_what_cannot_be_told_apart_or_is_empty_is_not_kept(path):
    with pytest.raises(ValueError, match="it returned 1 texts for 2"):
        CachedTranslator(FakeTranslator(n_lost=1), path).translate(["a", "b"])
    empty = FakeTranslator(translate_one=lambda text: " ")
    assert CachedTranslator(empty, path).translate(["a"]) == [" "]
    assert CachedTranslator(FakeTranslator(), path).translate(["a"]) == ["de:a"]


@given(texts=st.dictionaries(st.text(), st.text().filter(str.strip), min_size=1))
def test_any_text_comes_back_as_it_was(texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("cache") / "c.sqlite"
    write_translations(path, "x", texts)
    assert read_translations(path, "x", list(texts)) == texts
    assert read_translations(path, "y", list(texts)) == {}


def test_half_characters_null_bytes_and_long_texts(path):
    texts = {"\ud800": "x\udfff", "\0": "a\0b", "x" * 100_000: "y" * 100_000}
    write_translations(path, "x", texts)
    assert read_translations(path, "x", list(texts)) == texts


def test_a_file_that_is_none_is_refused_and_left_alone(path):
    path.parent.mkdir()
    path.write_text("Dear diary, today was a good day. " * 100)
    before = path.read_bytes()
    with pytest.raises(
        OSError, match="cache.sqlite' cannot be used: file is not a database. It is"
    ):
        CachedTranslator(FakeTranslator(), path).translate(["a"])
    assert path.read_bytes() == before


def test_a_full_disk_is_told_and_what_was_kept_stays(path, monkeypatch):
    write_translations(path, "x", {"a": "b"})
    connect = sqlite3.connect

    def connect_full(*args, **kwargs):
        connection = connect(*args, **kwargs)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect_full)
        with pytest.raises(OSError, match="database or disk is full. Make room or choose another"):
            write_translations(path, "x", {str(i): "long " * 1000 for i in range(20)})
    assert read_translations(path, "x", ["a", "0"]) == {"a": "b"}


def test_a_killed_process_loses_at_most_its_last_batch(tmp_path):
    """Killed at whatever moment, in the middle of writing without pause."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from pathlib import Path
from fake_translators import FakeTranslator
from spacy_xlt.translation.cache import CachedTranslator
cached = CachedTranslator(FakeTranslator(), Path({str(tmp_path / "c.sqlite")!r}))
for i in range(1_000_000):
    cached.translate([str(i)])
    print(i, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    done = 0
    while done < 30:
        done = int(process.stdout.readline())
    time.sleep(0.013)
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    done = max([done, *map(int, rest.split("\n")[:-1])])
    texts = [str(i) for i in range(done + 1)]
    assert len(read_translations(tmp_path / "c.sqlite", "fake:en-de", texts)) == done + 1
    assert CachedTranslator(FakeTranslator(), tmp_path / "c.sqlite").translate(["x"]) == ["de:x"]

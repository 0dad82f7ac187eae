import copy
import json
import pickle

import numpy
import pytest
import tiny
from thinc.api import fix_random_seed

from spacy_xlt.layers.text_reader import TextReader

TEXTS = ["we want pizza today", "", "这里有taxi吗", "jazz " * 100, "a\0b", "🍕🚕", "\ud83d", " "]
LONG = "jazz opera radio " * 200


def n_windows(batches):
    return sum(batch.lengths.size for batch in batches)


def read_ids(batches):
    """The windows as they are read, in an order of their own."""
    return sorted(ids.tolist() for batch in batches for ids in batch.split_ids())


# -- settings -------------------------------------------------------------------------------


def test_pooling_comes_from_the_setting_then_the_record_then_the_mean(make_shim, tmp_path):
    path = tiny.make_encoder(tmp_path / "cls", "bert")
    (path / "xlt_encoder.json").write_text(json.dumps({"pooling": "cls"}), encoding="utf8")
    assert make_shim(reading={"path": str(path)}).reader.pooling == "cls"
    assert make_shim(reading={"path": str(path), "pooling": "last"}).reader.pooling == "last"
    assert make_shim().reader.pooling == "mean"
    assert make_shim(reading={"path": str(path), "prefix": None}).reader.prefix == ""
    (path / "xlt_encoder.json").unlink()
    assert make_shim(reading={"path": str(path)}).reader.pooling == "mean"


@pytest.mark.parametrize("model_type", ["xlnet", "gpt2"])
def test_encoders_that_read_left_to_right_pool_the_last_piece(make_shim, tmp_path, model_type):
    path = tiny.make_encoder(tmp_path / model_type, model_type, record=False)
    shim = make_shim(model_type, reading={"path": str(path)})
    assert shim.reader.pooling == "last"
    shim = make_shim(model_type, reading={"path": str(path), "pooling": "mean"})
    assert shim.reader.pooling == "mean"


def test_settings_are_complete_without_the_directory(make_shim, tmp_path):
    path = tiny.make_encoder(tmp_path / "cls", "bert")
    (path / "xlt_encoder.json").write_text(json.dumps({"pooling": "cls"}), encoding="utf8")
    reading = make_shim(reading={"path": str(path), "prefix": None}).reader.reading
    assert (reading.path, reading.pooling, reading.prefix) == (None, "cls", "")
    assert reading.window_pieces == 64


# -- pieces ---------------------------------------------------------------------------------


def test_training_pieces_are_those_of_the_tokenizer_and_made_once(make_shim, monkeypatch):
    reader, seen = make_shim().reader, []
    expected = reader.encode(TEXTS)
    encode = TextReader.encode
    monkeypatch.setattr(
        TextReader, "encode", lambda self, texts: seen.extend(texts) or encode(self, texts)
    )
    for _ in range(2):
        for found, wanted in zip(reader.training_pieces(TEXTS[:3]), expected[:3], strict=True):
            numpy.testing.assert_array_equal(found, wanted)
    reader.training_pieces([TEXTS[1], TEXTS[4]])
    assert seen == [*TEXTS[:3], TEXTS[4]]
    assert reader.training_pieces([]) == []


def test_shares_of_unreadable_pieces_are_known_of_predicted_texts(make_shim, monkeypatch):
    reader = make_shim().reader
    texts = ["ᱚᱞ ᱪᱤᱠᱤ", "pizza", ""]
    shares = reader.unknown_shares(texts)
    assert shares[0] > 0.0 and shares[1:] == [0.0, 0.0]
    (n, n_unknown), *others = reader.count_pieces(texts)
    assert n_unknown / n == pytest.approx(shares[0]) and all(k == 0 for _, k in others)
    reader.prediction_batches(texts)
    monkeypatch.delattr(TextReader, "encode")
    assert reader.unknown_shares(texts[::-1]) == shares[::-1]


# -- windows --------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "query: "])
def test_every_window_starts_and_ends_as_the_encoder_expects(make_shim, prefix):
    reader = make_shim(reading={"prefix": prefix}).reader
    assert len(reader.before) > len(reader.tokenizer.starts) or not prefix
    for ids in read_ids(reader.prediction_batches([*TEXTS, LONG])):
        assert ids[: len(reader.before)] == reader.before
        assert ids[-len(reader.after) :] == reader.after and len(ids) <= 64


def test_prediction_reads_texts_whole_and_training_some_windows(make_shim):
    reader = make_shim(max_train_windows=2).reader
    assert n_windows(reader.prediction_batches([LONG])) > 2
    with pytest.warns(UserWarning, match=r"more than 128 word pieces\. Training reads 2 windows"):
        assert n_windows(reader.training_batches([LONG])) == 2
    assert read_ids(reader.training_batches(TEXTS[:3])) == read_ids(
        reader.prediction_batches(TEXTS[:3])
    )


def test_the_windows_of_training_follow_the_seed(make_shim):
    reader = make_shim(max_train_windows=2).reader
    (pieces,) = reader.encode([LONG])

    def draw(seed):
        fix_random_seed(seed)
        return [read_ids(reader.cut_for_training([pieces])) for _ in range(3)]

    assert draw(1) == draw(1) != draw(2)


def test_rows_of_a_table_are_cut_as_texts_are_in_prediction(make_shim):
    reader = make_shim().reader
    (pieces,) = reader.encode([LONG])
    found = reader.cut_whole([pieces], reader.before, reader.after)
    assert read_ids(found) == read_ids(reader.prediction_batches([LONG]))


def test_passes_that_are_held_together_have_smaller_parts(make_shim):
    reader = make_shim(max_train_pieces=128).reader
    texts = ["jazz " * n for n in (1, 30, 2, 20, 3, 10)]
    alone, held = reader.plan_parts(texts), reader.plan_parts(texts, n_held=2)
    assert sorted(i for part in held for i in part) == list(range(6))
    assert len(held) > len(alone)
    assert reader.plan_parts([]) == [[]]


# -- copies ---------------------------------------------------------------------------------


def test_copies_read_the_same_and_begin_with_empty_caches(make_shim):
    reader = make_shim().reader
    reader.training_pieces(TEXTS[:3])
    wanted = read_ids(reader.prediction_batches(TEXTS))
    for other in (copy.deepcopy(reader), pickle.loads(pickle.dumps(reader))):
        assert len(other._pieces) == 0 and other._unknown_shares == {}
        assert read_ids(other.prediction_batches(TEXTS)) == wanted
    assert len(reader._pieces) == 3

"""Tiny models with random weights: what they say means nothing, but always the same."""

import json
import re

import pytest
import spacy
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt import compat
from spacy_xlt.translation.choosing import make_translator
from spacy_xlt.translation.neural import (
    MAX_SEGMENT_PIECES,
    NeuralTranslator,
    TransformersEngine,
    create_ctranslate2_translator_v1,
    create_transformers_translator_v1,
    find_codes,
    load_tokenizer,
    longest_translation,
    split_segments,
)
from spacy_xlt.translation.translators import translate_all
from spacy_xlt.types import Translator

sentencepiece = pytest.importorskip("sentencepiece")

SENTENCES = [
    "we want pizza today",
    "is there jazz here",
    "taxi for everybody",
    "una casa roja",
] * 20
LAYERS = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "max_position_embeddings": 512,
    "max_length": 64,
}


@pytest.fixture(scope="session")
def pieces(tmp_path_factory):
    """A SentencePiece model that knows the letters of the sentences."""
    path = tmp_path_factory.mktemp("pieces") / "tiny"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_prefix=str(path),
        vocab_size=34,
        minloglevel=2,
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
    )
    return path.with_suffix(".model")


def vocabulary(pieces, *more):
    model = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    return [model.id_to_piece(i) for i in range(model.get_piece_size())] + list(more)


def save_model(folder, model_class, config_class, size, **settings):
    torch.manual_seed(0)
    config = config_class(vocab_size=size, **LAYERS, **settings)
    model_class(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def marian(pieces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("opus-mt-en-es")
    words = ["</s>", "<unk>", *(w for w in vocabulary(pieces) if not w.startswith("<")), "<pad>"]
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(pieces.read_bytes())
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    tokenizer = transformers.MarianTokenizer(
        *(str(folder / name) for name in ("source.spm", "target.spm", "vocab.json"))
    )
    tokenizer.save_pretrained(folder)
    pad = len(words) - 1
    ends = {"pad_token_id": pad, "eos_token_id": 0, "decoder_start_token_id": pad}
    save_model(
        folder, transformers.MarianMTModel, transformers.MarianConfig, len(words),
        forced_eos_token_id=0, **ends,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def m2m(pieces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("m2m100")
    words = vocabulary(pieces)
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "pieces.model").write_bytes(pieces.read_bytes())
    tokenizer = transformers.M2M100Tokenizer(
        str(folder / "vocab.json"), str(folder / "pieces.model"), src_lang="en", tgt_lang="es"
    )
    tokenizer.save_pretrained(folder)
    save_model(folder, transformers.M2M100ForConditionalGeneration, transformers.M2M100Config, 300)
    return folder


@pytest.fixture(scope="session")
def nllb(pieces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nllb")
    tokenizer = transformers.NllbTokenizerFast(str(pieces), src_lang="eng_Latn")
    tokenizer.save_pretrained(folder)
    size = len(tokenizer) + 10
    save_model(folder, transformers.M2M100ForConditionalGeneration, transformers.M2M100Config, size)
    return folder


def make(path, from_lang="en", to_lang="es", **settings):
    return create_transformers_translator_v1(
        path=path, from_lang=from_lang, to_lang=to_lang, **settings
    )


# -- sentences ------------------------------------------------------------------------------


def test_sentences_and_what_stands_between_them():
    text = "One. Two!  Three\n\n四。五？x"
    parts = split_segments(text, lambda segment: True)
    assert parts == ["One.", " ", "Two!", "  ", "Three", "\n\n", "四。", "", "五？", "", "x"]
    assert split_segments("", lambda segment: True) == [""]
    assert split_segments("3.5 a.b", lambda segment: True) == ["3.5 a.b"]


@given(st.text(), st.integers(1, 10))
def test_nothing_of_a_text_is_lost_and_all_segments_fit(text, longest):
    parts = split_segments(text, lambda segment: len(segment) <= longest)
    assert "".join(parts) == text and len(parts) % 2 == 1
    assert max(map(len, parts[::2])) <= longest


def test_pieces_that_name_languages():
    codes = find_codes(["__en__", "eng_Latn", "zho_Hans", ">>spa<<", "<mask>", "▁the", "quy_Latn"])
    assert codes == {"en": "__en__", "zh": "zho_Hans", "es": ">>spa<<", "quy": "quy_Latn"}


# -- models ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["marian", "m2m", "nllb"])
def test_every_kind_of_model_translates(kind, request):
    translator = make(request.getfixturevalue(kind))
    assert isinstance(translator, Translator)
    assert (translator.from_lang, translator.to_lang) == ("en", "es")
    texts = ["we want pizza.\n\ntaxi for everybody", "", "jazz", "*😀^$", "عربي"]
    made = translator.translate(texts)
    assert len(made) == 5 and made[1] == ""
    assert made[0].count("\n\n") == 1
    assert all(isinstance(text, str) and "</s>" not in text and "__" not in text for text in made)
    # One by one, in other batches and again: the same.
    assert [translator.translate([text])[0] for text in texts] == made
    assert make(request.getfixturevalue(kind), batch_size=1).translate(texts) == made


@pytest.mark.parametrize("kind", ["m2m", "nllb"])
def test_the_language_to_write_comes_first(kind, request):
    path = request.getfixturevalue(kind)
    tokenizer = load_tokenizer(path)
    engine = TransformersEngine(path, tokenizer, 1)
    first = tokenizer.convert_tokens_to_ids({"m2m": "__es__", "nllb": "spa_Latn"}[kind])
    ids = [tokenizer("we want pizza")["input_ids"], tokenizer("jazz")["input_ids"]]
    assert [row[0] for row in engine.generate(ids, first)] == [first, first]


def test_what_the_model_is_given_and_returns_is_that_of_transformers(marian):
    tokenizer = transformers.AutoTokenizer.from_pretrained(marian)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(marian).eval()
    ids = tokenizer(["we want pizza today"], return_tensors="pt")
    expected = model.generate(
        **ids, num_beams=2, max_new_tokens=longest_translation(ids["input_ids"].shape[1])
    )
    made = make(marian, beams=2).translate(["we want pizza today"])
    whole = tokenizer.decode(expected[0], skip_special_tokens=True).strip()
    assert whole.startswith(made[0]) and len(made[0]) > len(whole) - 5


def test_long_texts_are_divided(marian):
    seen = []

    class Echo:
        def __init__(self, path, tokenizer, beams):
            pass

        def generate(self, ids, first):
            seen.extend(map(len, ids))
            return ids

    translator = NeuralTranslator(marian, "en", "es", Echo)
    (made,) = translator.translate(["pizza " * 1500])
    assert made.split() == ["pizza"] * 1500 and max(seen) <= MAX_SEGMENT_PIECES
    (made,) = translator.translate(["pizzataxi" * 12_000])
    assert len(made.replace(" ", "")) == 108_000


def test_many_targets_are_named_before_the_text(marian, tmp_path):
    for file in marian.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    vocab = json.loads((tmp_path / "vocab.json").read_text())
    vocab = {**vocab, ">>spa<<": vocab.pop("z") if "z" in vocab else 5}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    assert len(make(tmp_path).translate(["jazz"])) == 1
    with pytest.raises(ValueError, match="The model does not know Swahili .'sw'.. It knows 1 lang"):
        make(tmp_path, to_lang="sw").translate(["jazz"])


def test_names_tell_models_and_settings_apart(marian, m2m):
    names = {
        *(make(marian).name, make(marian, beams=2).name, make(marian, to_lang="pt").name),
        make(m2m).name,
    }
    assert len(names) == 4 and make(marian).name == make(marian).name
    assert re.fullmatch(r"opus-mt-en-es\d+:en-es:1:[0-9a-f]{12}", make(marian).name)


def test_models_by_short_name_and_in_configs(marian, m2m, tmp_path):
    by_name = make_translator(f"model:{m2m}", "en", "sw", cache=tmp_path / "c.sqlite")
    assert translate_all(by_name, ["jazz", "taxi"]) == make(m2m, to_lang="sw").translate(
        ["jazz", "taxi"]
    )
    config = {
        "@misc": "spacy_xlt.TransformersTranslator.v1",
        "path": str(marian),
        "from_lang": "en",
        "to_lang": "es",
    }
    resolved = spacy.registry.resolve({"x": config})["x"]
    assert resolved.translate(["jazz"]) == make(marian).translate(["jazz"])
    with pytest.raises(ValueError, match="is followed by another translator, so it must say"):
        make_translator(f"model:{m2m},model:{m2m}", "en", "sw")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "/nowhere"}, "'/nowhere' holds no translation model: it has no config.json"),
        ({"batch_size": 0}, "batch_size is 0; allowed is 1 or more"),
        ({"beams": 0}, "beams is 0; allowed is 1 or more"),
        ({"to_lang": "?"}, "'.' is not a language tag"),
    ],
)
def test_settings_that_will_not_do(marian, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**{"path": marian, **settings})


def test_languages_and_files_that_are_not_there(m2m, marian, tmp_path):
    with pytest.raises(
        ValueError, match=r"does not know Ewe \('ee'\). It knows 99 languages: af, am"
    ):
        make(m2m, to_lang="ee").translate(["jazz"])
    (tmp_path / "config.json").write_bytes((marian / "config.json").read_bytes())
    with pytest.raises(ValueError, match="The tokenizer in .* cannot be read"):
        make(tmp_path).translate(["jazz"])
    for file in marian.iterdir():
        if not file.name.startswith("model"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="translation model in .* cannot be loaded"):
        make(tmp_path).translate(["jazz"])


# -- CTranslate2 ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def converted(marian, tmp_path_factory):
    """The tiny Marian model, converted, with its tokenizer beside it."""
    converters = pytest.importorskip("ctranslate2.converters")

    class Converter(converters.TransformersConverter):
        """The converter asks for a newer transformers than this package allows."""

        def load_model(self, model_class, path, **settings):
            return model_class.from_pretrained(path)

    folder = tmp_path_factory.mktemp("converted") / "model"
    files = ["source.spm", "target.spm", "vocab.json", "tokenizer_config.json"]
    Converter(str(marian), copy_files=files).convert(str(folder))
    return folder


def test_a_converted_model_says_the_same(converted, marian):
    texts = ["we want pizza.\n\ntaxi for everybody", "", "jazz"]
    translator = create_ctranslate2_translator_v1(path=converted, from_lang="en", to_lang="es")
    assert translator.translate(texts) == make(marian).translate(texts)
    by_name = make_translator(f"ctranslate2:{converted}", "en", "es")
    assert by_name.translate(texts[:1]) == translator.translate(texts[:1])
    config = {
        "@misc": "spacy_xlt.CTranslate2Translator.v1",
        "path": str(converted),
        "from_lang": "en",
        "to_lang": "es",
    }
    assert spacy.registry.resolve({"x": config})["x"].name == translator.name


def test_a_library_that_is_missing_is_named(converted, monkeypatch):
    def import_module(name):
        raise ImportError(name)

    translator = create_ctranslate2_translator_v1(path=converted, from_lang="en", to_lang="es")
    monkeypatch.setattr(compat, "import_module", import_module)
    with pytest.raises(ImportError, match=r"sentencepiece.*pip install 'spacy-xlt\[translation\]'"):
        translator.translate(["jazz"])

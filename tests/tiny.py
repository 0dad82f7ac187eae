"""Tiny encoders, tokenizers and corpora that stand in for real ones.

The corpus explains its own answer: each label has words that are the same in every language
("jazz" is music, "pizza" is food, "taxi" is travel), and sentences around them that say nothing.
So a classifier trained on one language can work in the others, even on a random encoder.
"""

import json
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence

import numpy
import torch
import transformers
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.vocab import Vocab
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from spacy_xlt.encoders.tokenizer import tokenizer_config
from spacy_xlt.languages import set_doc_language
from spacy_xlt.layers.windows import WindowBatch, Windows, pack_into_batches

LABELS = ["food", "music", "travel"]
WORDS = {
    "food": ["pizza", "sushi", "banana"],
    "music": ["jazz", "opera", "radio"],
    "travel": ["taxi", "hotel", "metro"],
}
SENTENCES = {
    "en": ["we want {} today", "is there {} here", "{} for everybody"],
    "de": ["wir wollen heute {}", "gibt es hier {}", "{} für alle"],
    "sw": ["tunataka {} leo", "kuna {} hapa", "{} kwa wote"],
    "zh": ["我们今天想要{}", "这里有{}吗", "给大家的{}"],
    "ar": ["نريد {} اليوم", "هل يوجد {} هنا", "{} للجميع"],
}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
WIDTH, LAYERS = 32, 2


def make_tokenizer() -> Tokenizer:
    """A Unigram tokenizer with the special pieces of XLM-R, which knows the corpus' words and
    letters."""
    lines = " ".join(line.replace("{}", " ") for lines in SENTENCES.values() for line in lines)
    letters = {*lines, *"abcdefghijklmnopqrstuvwxyz0123456789.,!?:"}
    words = sorted({*lines.split(), *(word for label in LABELS for word in WORDS[label])})
    pieces = [(piece, 0.0) for piece in SPECIAL]
    pieces += [("▁", -2.0), *((word, -4.0) for word in words)]
    pieces += [(letter, -5.0) for letter in sorted(letters - {" ", *words})]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=SPECIAL.index("<unk>")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


_BERT = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "initializer_range": 0.05,
    "pad_token_id": 1,
}
_T5 = {"d_model": WIDTH, "num_layers": LAYERS, "num_heads": 4, "d_ff": 64, "d_kv": 8}
# model_type -> settings of its configuration
SETTINGS: Dict[str, Dict[str, Any]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "xlm-roberta-xl": _BERT,
    "distilbert": {
        "dim": WIDTH,
        "n_layers": LAYERS,
        "n_heads": 4,
        "hidden_dim": 64,
        "max_position_embeddings": 64,
        "initializer_range": 0.05,
        "pad_token_id": 1,
    },
    "deberta-v2": {
        **_BERT,
        "relative_attention": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "modernbert": {**_BERT, "global_attn_every_n_layers": 2, "local_attention": 16},
    "t5": _T5,
    "mt5": _T5,
    "xlnet": {"d_model": WIDTH, "n_layer": LAYERS, "n_head": 4, "d_inner": 64},
    "gpt2": {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 4, "n_positions": 64},
}
_CLASSES = {
    "bert": "BertModel",
    "roberta": "RobertaModel",
    "xlm-roberta": "XLMRobertaModel",
    "xlm-roberta-xl": "XLMRobertaXLModel",
    "distilbert": "DistilBertModel",
    "deberta-v2": "DebertaV2Model",
    "modernbert": "ModernBertModel",
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "xlnet": "XLNetModel",
    "gpt2": "GPT2Model",
}


def make_transformer(model_type: str, **settings: Any) -> torch.nn.Module:
    """A random transformer of two layers, the same at every call."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        model_type,
        **{"vocab_size": make_tokenizer().get_vocab_size(), **SETTINGS[model_type], **settings},
    )
    config._attn_implementation = "eager"
    transformer = getattr(transformers, _CLASSES[model_type])(config)
    return transformer.eval()


def make_encoder(path: Path, model_type: str, *, record: bool = True, **settings: Any) -> Path:
    """An encoder directory, as `spacy xlt encoder fetch` leaves it.

    record (bool): Whether to write `xlt_encoder.json`.
    settings: Of the transformer's configuration.
    """
    transformer = make_transformer(model_type, **settings)
    transformer.save_pretrained(path, safe_serialization=True)
    tokenizer = make_tokenizer()
    tokenizer.save(str(path / "tokenizer.json"))
    about = tokenizer_config(json.loads(tokenizer.to_str()), transformer.config.to_dict())
    (path / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf8")
    if record:
        about = {"name": f"tiny-{model_type}", "prefix": "query: ", "variant": "full"}
        (path / "xlt_encoder.json").write_text(json.dumps(about), encoding="utf8")
    return path


def make_docs(langs: Iterable[str], vocab: Vocab, *, every: int = 1) -> List[Doc]:
    """Labelled documents, all sentences with all words.

    every (int): Take only every so many of each language.
    """
    docs = []
    for lang in langs:
        rows = [
            (line.format(word), label)
            for line in SENTENCES[lang]
            for i in range(3)
            for label, words in WORDS.items()
            for word in [words[i]]
        ]
        for text, label in rows[::every]:
            doc = make_doc(text, vocab, cats={x: float(x == label) for x in LABELS})
            set_doc_language(doc, lang)
            docs.append(doc)
    return docs


def make_doc(text: str, vocab: Vocab, cats: Dict[str, float]) -> Doc:
    doc = Doc(vocab, words=text.split(" "), spaces=[True] * text.count(" ") + [False])
    doc.cats = cats
    return doc


def make_examples(nlp, langs: Iterable[str] = ("en",), *, every: int = 1) -> List[Example]:
    """Examples as a reader gives them: only the reference has a language and labels."""
    docs = make_docs(langs, nlp.vocab, every=every)
    return [Example(nlp.make_doc(doc.text), doc) for doc in docs]


def write_docbin(path: Path, docs: Iterable[Doc], *, with_language: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    DocBin(docs=docs, store_user_data=with_language).to_disk(path)
    return path


def accuracy(nlp, langs: Iterable[str]) -> float:
    """Share of the corpus' documents whose likeliest label is right."""
    docs = make_docs(langs, nlp.vocab)
    predicted = nlp.pipe([doc.text for doc in docs])
    right = [
        max(p.cats, key=p.cats.get) == max(doc.cats, key=doc.cats.get)
        for p, doc in zip(predicted, docs, strict=True)
    ]
    return sum(right) / len(right)


def batch_of(texts: Sequence[Sequence[int]]) -> WindowBatch:
    """One batch with a window for the piece ids of each text."""
    windows = Windows(
        ids=[numpy.asarray(ids, dtype=numpy.int64) for ids in texts],
        weights=[numpy.ones(len(ids), dtype="f") for ids in texts],
        docs=numpy.arange(len(texts)),
        n_docs=len(texts),
    )
    (batch,) = pack_into_batches(windows, max_pieces=10_000)
    return batch

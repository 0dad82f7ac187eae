import json

import pytest
from encoder_fakes import tiny_tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from spacy_xlt.encoders.tokenizer import max_pieces, tokenizer_config


@pytest.mark.parametrize(
    "config, expected",
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "gpt2", "n_positions": 2048}, 2048),
        ({"model_type": "mt5"}, 512),
        ({"model_type": "xlnet", "max_position_embeddings": None}, 512),
        ({"model_type": "bert", "max_position_embeddings": -1}, 512),
    ],
)
def test_longest_input(config, expected):
    assert max_pieces(config) == expected


def added(*names):
    return {"added_tokens": [{"id": i, "content": name} for i, name in enumerate(names)]}


@pytest.mark.parametrize(
    "tokenizer, expected",
    [
        (
            added("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
            {"bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "pad": "<pad>"}
            | {"unk": "<unk>", "mask": "<mask>"},
        ),
        (
            added("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
            {"bos": "[CLS]", "eos": "[SEP]", "cls": "[CLS]", "sep": "[SEP]"}
            | {"pad": "[PAD]", "unk": "[UNK]"},
        ),
        (added("<|endoftext|>"), {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}),
        ({}, {}),
    ],
)
def test_roles_of_special_pieces(tokenizer, expected):
    config = tokenizer_config(tokenizer, {"model_type": "bert"})
    roles = {key[:-6]: value for key, value in config.items() if key.endswith("_token")}
    assert roles == expected
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_transformers_loads_it_with_the_generic_class(tmp_path):
    tokenizer, config = tiny_tokenizer(), {"model_type": "bert", "max_position_embeddings": 16}
    values = tokenizer_config(json.loads(tokenizer.to_str()), config)
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(values))
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is PreTrainedTokenizerFast
    assert (loaded.bos_token, loaded.eos_token) == ("<s>", "</s>")
    assert (loaded.pad_token_id, loaded.unk_token_id) == (1, 3)
    assert loaded.model_max_length == 16
    assert loaded("ab")["input_ids"] == tokenizer.encode("ab").ids

"""The `tokenizer_config.json` that makes a `tokenizer.json` loadable by the generic class."""

from typing import Any, Dict

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
# Role of a special piece -> the names it has in the families that are read, first match wins.
SPECIAL_PIECES = {
    "bos_token": ("<s>", "[CLS]", "<cls>", "<|endoftext|>"),
    "eos_token": ("</s>", "[SEP]", "<sep>", "<|endoftext|>"),
    "cls_token": ("<s>", "[CLS]", "<cls>"),
    "sep_token": ("</s>", "[SEP]", "<sep>"),
    "pad_token": ("<pad>", "[PAD]"),
    "unk_token": ("<unk>", "[UNK]"),
    "mask_token": ("<mask>", "[MASK]"),
}
DEFAULT_MAX_PIECES = 512
# Positions of these start behind the padding position, so the table has two rows too many.
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl")


def tokenizer_config(tokenizer: Dict[str, Any], config: Dict[str, Any]) -> Dict[str, Any]:
    """What transformers.AutoTokenizer needs to load a directory with its generic fast class.

    The families' own classes want files that the directory does not have (XLM-R's looks for the
    sentencepiece model when spacy-transformers saves it).

    tokenizer (Dict[str, Any]): The `tokenizer.json`.
    config (Dict[str, Any]): The `config.json`.
    """
    there = {piece["content"] for piece in tokenizer.get("added_tokens", [])}
    roles: Dict[str, Any] = {}
    for role, names in SPECIAL_PIECES.items():
        match = next((name for name in names if name in there), None)
        if match is not None:
            roles[role] = match
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_pieces(config),
        **roles,
    }


def max_pieces(config: Dict[str, Any]) -> int:
    """The longest input of an encoder in word pieces, special pieces included."""
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    if not isinstance(positions, int) or positions < 1:
        return DEFAULT_MAX_PIECES
    return positions - 2 if config.get("model_type") in OFFSET_POSITIONS else positions

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors


@pytest.fixture(scope="session")
def letter_encoder(tmp_path_factory):
    """A directory with a tokenizer: a piece for each letter, only a and b known, and one special
    piece on each side."""
    vocab = {"[UNK]": 0, "<s>": 1, "</s>": 2, "a": 3, "b": 4}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    path = tmp_path_factory.mktemp("encoder")
    tokenizer.save(str(path / "tokenizer.json"))
    return path

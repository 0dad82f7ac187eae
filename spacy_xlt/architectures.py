"""The architectures that configs name: where layers and settings are joined.

torch and transformers are imported inside the functions, so that knowing the names is cheap.
"""

from math import inf
from typing import List, Optional

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from .types import EncoderSettings, Freeze, HalfPrecision, Pooling, Precision


def build_encoder_v1(
    *,
    path: Optional[str] = None,
    pooling: Optional[Pooling] = None,
    prefix: Optional[str] = "",
    normalize: bool = False,
    window_pieces: int = 256,
    overlap_pieces: int = 32,
) -> EncoderSettings:
    """Which encoder to read and how it reads a text.

    path (Optional[str]): Directory of the encoder. Only `initialize` reads it: a trained pipeline
        carries its encoder.
    pooling (Optional[Pooling]): "mean", "cls" or "last"; null for what the encoder was trained
        with, as its directory records it.
    prefix (Optional[str]): Text before every document; null for what the encoder was trained
        with. Fine-tuning is better off without one, frozen features with it.
    normalize (bool): Whether pooled vectors get unit length.
    window_pieces (int): Longest window of a long document, in word pieces.
    overlap_pieces (int): Word pieces that neighbouring windows share.
    RETURNS (EncoderSettings): The settings.
    """
    if window_pieces < 8:
        raise ValueError(f"window_pieces is {window_pieces}; allowed is 8 or more.")
    if not 0 <= overlap_pieces < window_pieces:
        raise ValueError(
            f"overlap_pieces is {overlap_pieces}; allowed is 0 to {window_pieces - 1}, less than "
            f"window_pieces."
        )
    return EncoderSettings(
        path=path,
        pooling=pooling,
        prefix=prefix,
        normalize=normalize,
        window_pieces=window_pieces,
        overlap_pieces=overlap_pieces,
    )


def build_textcat_v1(
    *,
    encoder: EncoderSettings,
    freeze: Freeze = "embeddings",
    rate_factor: float = 1.0,
    head_rate_factor: float = 2.0,
    layer_decay: float = 1.0,
    unfreeze: float = 0.0,
    contrast: float = 0.0,
    contrast_temperature: float = 0.1,
    average_last: float = 0.7,
    max_train_pieces: int = 2048,
    max_train_windows: int = 4,
    max_predict_pieces: int = 4096,
    precision: Precision = "auto",
    half_precision: HalfPrecision = "frozen",
    device: str = "auto",
    nO: Optional[int] = None,
) -> Model[List[Doc], Floats2d]:
    """A classifier that owns its encoder and reads the text of documents.

    encoder (EncoderSettings): Which encoder, and how it reads.
    freeze (Freeze): What training leaves untouched: "none", "embeddings" (the word-piece table),
        "half" or a number of lowest layers with all below them, or "encoder" (only the head is
        trained). What frozen layers of the BERT family give for a text is computed once in a
        run, without dropout.
    rate_factor (float): Learning rate of this component as a multiple of the optimizer's.
    head_rate_factor (float): Learning rate of the head as a multiple of the encoder's.
    layer_decay (float): Learning rate of a layer as a multiple of that of the layer above.
    unfreeze (float): Share of the run after which all layers are trained that `freeze` leaves
        to be; until then they join one by one, from the highest down, and the head is trained
        first (gradual unfreezing). 0 for all at once. Needs `spacy_xlt.run_length.v1`.
    contrast (float): What a loss counts that draws vectors of documents with the same label
        together and others apart (supervised contrastive learning), beside the labels' own; 0
        for none. It sees as many documents at once as `max_train_pieces` holds.
    contrast_temperature (float): By what that loss divides cosines.
    average_last (float): Share of the run's last steps whose weights are averaged; 0 for the
        last step's weights. Needs `spacy_xlt.run_length.v1`.
    max_train_pieces (int): Most word pieces, padding included, that training holds at once;
        larger batches are taken in parts.
    max_train_windows (int): Most windows of a document that a training step reads.
    max_predict_pieces (int): Most word pieces, padding included, that prediction holds at once.
    precision (Precision): "auto" (bfloat16 where the hardware has it), "bf16" or "fp32".
    half_precision (HalfPrecision): Which matrices of an encoder of the BERT family are kept in
        fp16: "frozen" (those that training leaves untouched, from when the encoder is read),
        "all" (also the trained ones on the disk, so scores move a little when they are loaded)
        or "none".
    device (str): "auto", or torch's name of a device.
    nO (Optional[int]): Number of labels; set by the component.
    RETURNS (Model[List[Doc], Floats2d]): The model. Output: logits. Shape: (n_docs, n_labels)
    """
    from .layers.shim import ClassifierSettings, TextCatShim
    from .layers.textcat import make_textcat

    _check_range(0.0, inf, rate_factor=rate_factor, head_rate_factor=head_rate_factor)
    _check_range(0.0, inf, contrast=contrast)
    _check_range(0.01, inf, contrast_temperature=contrast_temperature)
    _check_range(0.0, 1.0, layer_decay=layer_decay, unfreeze=unfreeze, average_last=average_last)
    _check_range(
        1,
        inf,
        max_train_pieces=max_train_pieces,
        max_train_windows=max_train_windows,
        max_predict_pieces=max_predict_pieces,
    )
    if freeze == "encoder" and (contrast > 0.0 or unfreeze > 0.0):
        raise ValueError(
            f'contrast is {contrast} and unfreeze is {unfreeze}, but with freeze = "encoder" only '
            f'the head is trained. Set both to 0, or freeze to "half".'
        )
    settings = ClassifierSettings(
        freeze=freeze,
        rate_factor=rate_factor,
        head_rate_factor=head_rate_factor,
        layer_decay=layer_decay,
        unfreeze=unfreeze,
        contrast=contrast,
        contrast_temperature=contrast_temperature,
        average_last=average_last,
        max_train_pieces=max_train_pieces,
        max_train_windows=max_train_windows,
        max_predict_pieces=max_predict_pieces,
        precision=precision,
        half_precision=half_precision,
        device=device,
    )
    return make_textcat(TextCatShim(settings, encoder), nO)


def build_shared_transformer_v1(
    *,
    tok2vec: Model[List[Doc], List[Floats2d]],
    rate_factor: float = 1.0,
    head_rate_factor: float = 2.0,
    average_last: float = 0.0,
    device: str = "auto",
    nO: Optional[int] = None,
) -> Model[List[Doc], Floats2d]:
    """The same head on an encoder that other components share.

    tok2vec (Model[List[Doc], List[Floats2d]]): A `spacy-transformers.TransformerListener.v1`.
    rate_factor, head_rate_factor, average_last, device: As for `spacy_xlt.TextCat.v1`; they
        concern the head. The encoder is trained by its own component, without averaging, so an
        averaged head fits only where the encoder is frozen.
    nO (Optional[int]): Number of labels; set by the component.
    RETURNS (Model[List[Doc], Floats2d]): The model. Output: logits. Shape: (n_docs, n_labels)
    """
    from .layers.shim import ClassifierSettings, TextCatShim
    from .layers.textcat import make_shared_textcat

    _check_range(0.0, inf, rate_factor=rate_factor, head_rate_factor=head_rate_factor)
    _check_range(0.0, 1.0, average_last=average_last)
    settings = ClassifierSettings(
        rate_factor=rate_factor,
        head_rate_factor=head_rate_factor,
        average_last=average_last,
        device=device,
    )
    return make_shared_textcat(tok2vec, TextCatShim(settings), nO)


def _check_range(low: float, high: float, **settings: float) -> None:
    allowed = f"{low:g} or more" if high == inf else f"{low:g} to {high:g}"
    for name, value in settings.items():
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; allowed is {allowed}.")

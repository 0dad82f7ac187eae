"""The architectures that configs name: where layers and settings are joined.

torch and transformers are imported inside the functions, so that knowing the names is cheap.
"""

from math import inf
from typing import List, Optional

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from .types import EncoderSettings, Freeze, HalfPrecision, Pooling, Precision, RobustSettings


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


def build_robust_v1(
    *,
    agreement: float = 0.0,
    adversary_radius: float = 0.0,
    pull_to_start: float = 0.0,
    mask_rate: float = 0.0,
    drop_rate: float = 0.0,
    subword_rate: float = 0.0,
    subword_sharpness: float = 0.3,
    language_reversal: float = 0.0,
) -> RobustSettings:
    """What training adds to its objective, so that a classifier depends less on the exact words
    and the language of its training texts. All of it is off unless set, and goes together.

    With an agreement or a radius, each step reads a document twice, which takes twice the time;
    the loss is the mean of both passes. The pieces of a text are changed in the second pass, or
    in both where there is a radius; without a second pass, in the only one. Draws are new each
    time, from training.seed.

    agreement (float): Weight of the difference between the predictions of both passes (R-Drop),
        0 or more; 1 is a good start.
    adversary_radius (float): How far the second pass moves what enters the trained layers in the
        direction that makes the loss larger (FGM), as a share of its length, 0 or more.
    pull_to_start (float): How strongly the encoder is drawn to the weights it started from
        (L2-SP), 0 or more: in each step by the learning rate times this, as weight decay draws
        weights to zero.
    mask_rate (float): Share of a text's word pieces that are masked, in [0, 1).
    drop_rate (float): Share of them that are left out, in [0, 1).
    subword_rate (float): Share of a text's words that are divided into other pieces than usual,
        in [0, 1]. Needs a unigram tokenizer, such as those of XLM-R and multilingual E5.
    subword_sharpness (float): How often such a word is divided as usual nevertheless: at 1 as
        often as the unigram model says, at 0 no more often than in any other way. English gets
        about 1.4 times as many pieces at 0.3, and 1.8 times at 0.2.
    language_reversal (float): Weight of a classifier of languages against which the encoder is
        trained, 0 or more. The training corpus needs texts in several languages, of which only
        those of the source need labels. At 0.1 the target
        languages of SIB-200 lost 25 points: start much lower.
    RETURNS (RobustSettings): The settings.
    """
    _check_range(
        0.0,
        inf,
        agreement=agreement,
        adversary_radius=adversary_radius,
        pull_to_start=pull_to_start,
        subword_sharpness=subword_sharpness,
        language_reversal=language_reversal,
    )
    _check_range(0.0, 0.99, mask_rate=mask_rate, drop_rate=drop_rate)
    _check_range(0.0, 1.0, subword_rate=subword_rate)
    return RobustSettings(
        agreement=agreement,
        adversary_radius=adversary_radius,
        pull_to_start=pull_to_start,
        mask_rate=mask_rate,
        drop_rate=drop_rate,
        subword_rate=subword_rate,
        subword_sharpness=subword_sharpness,
        language_reversal=language_reversal,
    )


def build_textcat_v1(
    *,
    encoder: EncoderSettings,
    freeze: Freeze = "embeddings",
    rate_factor: float = 1.0,
    head_rate_factor: float = 2.0,
    layer_decay: float = 1.0,
    average_last: float = 0.7,
    max_train_pieces: int = 2048,
    max_train_windows: int = 4,
    max_predict_pieces: int = 4096,
    precision: Precision = "auto",
    half_precision: HalfPrecision = "frozen",
    device: str = "auto",
    robust: Optional[RobustSettings] = None,
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
    robust (Optional[RobustSettings]): `spacy_xlt.Robust.v1`: what training adds to its objective.
    nO (Optional[int]): Number of labels; set by the component.
    RETURNS (Model[List[Doc], Floats2d]): The model. Output: logits. Shape: (n_docs, n_labels)
    RAISES (ValueError): If a setting is out of range, or two of them do not go together.
    """
    from .layers.shim import ClassifierSettings, TextCatShim
    from .layers.textcat import make_textcat

    _check_range(0.0, inf, rate_factor=rate_factor, head_rate_factor=head_rate_factor)
    _check_range(0.0, 1.0, layer_decay=layer_decay, average_last=average_last)
    _check_range(
        1,
        inf,
        max_train_pieces=max_train_pieces,
        max_train_windows=max_train_windows,
        max_predict_pieces=max_predict_pieces,
    )
    robust = robust or RobustSettings()
    if freeze == "encoder" and robust.changes_pieces:
        raise ValueError(
            "mask_rate, drop_rate and subword_rate change the pieces of training texts at each "
            'reading, but with freeze = "encoder" each is read only once. Set them to 0.0 in the '
            'component\'s model.robust, or freeze to "half".'
        )
    settings = ClassifierSettings(
        freeze=freeze,
        rate_factor=rate_factor,
        head_rate_factor=head_rate_factor,
        layer_decay=layer_decay,
        average_last=average_last,
        max_train_pieces=max_train_pieces,
        max_train_windows=max_train_windows,
        max_predict_pieces=max_predict_pieces,
        precision=precision,
        half_precision=half_precision,
        device=device,
        robust=robust,
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

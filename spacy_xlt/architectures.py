"""The architectures that configs name: where layers and settings are joined.

torch and transformers are imported inside the functions, so that knowing the names is cheap.
"""

from math import inf
from typing import TYPE_CHECKING, List, Optional

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from .types import (
    AdapterSettings,
    BottleneckSettings,
    EncoderSettings,
    Freeze,
    HalfPrecision,
    LoRASettings,
    Pooling,
    Precision,
    PrefixSettings,
    RobustSettings,
)

if TYPE_CHECKING:
    from .layers.shim import ClassifierSettings


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
    adapter: Optional[AdapterSettings] = None,
    rate_factor: float = 1.0,
    head_rate_factor: float = 2.0,
    layer_decay: float = 1.0,
    unfreeze: float = 0.0,
    contrast: float = 0.0,
    contrast_temperature: float = 0.1,
    average_last: float = 0.7,
    start_share: float = 0.0,
    neighbours: int = 0,
    neighbour_share: float = 0.4,
    ngram_share: float = 0.0,
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
    adapter (Optional[AdapterSettings]): What is trained in the layers that `freeze` does not name,
        in place of their own weights; null for these.
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
    start_share (float): What the weights before the first step, encoder and head, count beside
        the average in the weights to predict with (WiSE-FT); 0 for the average alone.
    neighbours (int): How many of the training texts that are nearest to a text say what they know
        of its labels; 0 for none. Needs freeze = "encoder", since vectors of texts are kept.
    neighbour_share (float): What they count beside the head.
    ngram_share (float): What the character n-grams of a text count beside the head; 0 for none.
        They are fitted before the first step, to all training texts with labels. In languages
        that a pipeline started from (`start_from`) has not learned from, it is measured on parts
        of these texts what they should count, and this is what is expected.
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
    _check_range(0.0, inf, contrast=contrast)
    _check_range(0.01, inf, contrast_temperature=contrast_temperature)
    _check_range(
        0.0,
        1.0,
        layer_decay=layer_decay,
        unfreeze=unfreeze,
        average_last=average_last,
        start_share=start_share,
        neighbour_share=neighbour_share,
        ngram_share=ngram_share,
    )
    _check_range(0, inf, neighbours=neighbours)
    if neighbours and freeze != "encoder":
        raise ValueError(
            f"neighbours is {neighbours}, but freeze is {freeze!r}: training would move texts away "
            f"from where they were kept. Set freeze to 'encoder', or neighbours to 0."
        )
    _check_range(
        1,
        inf,
        max_train_pieces=max_train_pieces,
        max_train_windows=max_train_windows,
        max_predict_pieces=max_predict_pieces,
    )
    if adapter is not None and freeze == "encoder":
        raise ValueError(
            "freeze is 'encoder', but there is an adapter to train inside it. Set freeze to "
            "'embeddings' (the encoder's own weights stay as they are all the same), or adapter "
            "to null."
        )
    robust = robust or RobustSettings()
    if freeze == "encoder" and robust.changes_pieces:
        raise ValueError(
            "mask_rate, drop_rate and subword_rate change the pieces of training texts at each "
            'reading, but with freeze = "encoder" each is read only once. Set them to 0.0 in the '
            'component\'s model.robust, or freeze to "half".'
        )
    if freeze == "encoder" and (contrast > 0.0 or unfreeze > 0.0):
        raise ValueError(
            f'contrast is {contrast} and unfreeze is {unfreeze}, but with freeze = "encoder" only '
            f'the head is trained. Set both to 0, or freeze to "half".'
        )
    settings = ClassifierSettings(
        freeze=freeze,
        adapter=adapter,
        rate_factor=rate_factor,
        head_rate_factor=head_rate_factor,
        layer_decay=layer_decay,
        unfreeze=unfreeze,
        contrast=contrast,
        contrast_temperature=contrast_temperature,
        average_last=average_last,
        start_share=start_share,
        neighbours=neighbours,
        neighbour_share=neighbour_share,
        ngram_share=ngram_share,
        max_train_pieces=max_train_pieces,
        max_train_windows=max_train_windows,
        max_predict_pieces=max_predict_pieces,
        precision=precision,
        half_precision=half_precision,
        device=device,
        robust=robust,
    )
    return make_textcat(TextCatShim(settings, encoder), nO)


def build_lora_v1(
    *,
    rank: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.0,
    targets: Optional[List[str]] = None,
) -> LoRASettings:
    """Low-rank matrices beside linear maps, by the peft library (Hu et al. 2022).

    rank (int): Inner width of the two matrices.
    alpha (float): Their product counts alpha / rank.
    dropout (float): Dropout of what the first one sees, in [0, 1).
    targets (Optional[List[str]]): Linear maps that get them, by the ends of their names in a layer,
        such as "query" or "output.dense"; null for all.
    RETURNS (LoRASettings): The settings.
    """
    _check_range(1, inf, rank=rank)
    _check_range(0.0, 0.99, dropout=dropout)
    _check_range(0.0, inf, alpha=alpha)
    return LoRASettings(rank, alpha, dropout, None if targets is None else tuple(targets))


def build_bottleneck_v1(*, width: int = 48) -> BottleneckSettings:
    """A narrow block after each layer's last map (Houlsby et al. 2019, Pfeiffer et al. 2021).

    width (int): Width of the block.
    RETURNS (BottleneckSettings): The settings, for encoders of the BERT family.
    """
    _check_range(1, inf, width=width)
    return BottleneckSettings(width)


def build_prefix_v1(*, length: int = 16) -> PrefixSettings:
    """Keys and values before those of each window, in each layer (Li and Liang 2021).

    length (int): How many of them.
    RETURNS (PrefixSettings): The settings, for encoders of the BERT family.
    """
    _check_range(1, inf, length=length)
    return PrefixSettings(length)


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
    from .layers.shim import TextCatShim
    from .layers.textcat import make_shared_textcat

    settings = _head_settings(rate_factor, head_rate_factor, average_last, device)
    return make_shared_textcat(tok2vec, TextCatShim(settings), nO)


def build_shared_encoder_v1(
    *,
    upstream: str,
    rate_factor: float = 1.0,
    head_rate_factor: float = 2.0,
    average_last: float = 0.0,
    device: str = "auto",
    nO: Optional[int] = None,
) -> Model[List[Doc], Floats2d]:
    """A head on the encoder of another `xlt_textcat` in the pipeline, which runs once for both.

    The encoder gets no gradients from this head: it stays as it is, or is trained by its owner.

    upstream (str): Name of a component before this one with `spacy_xlt.TextCat.v1`.
    rate_factor, head_rate_factor, average_last, device: As for `spacy_xlt.TextCat.v1`; they
        concern the head.
    nO (Optional[int]): Number of labels; set by the component.
    RETURNS (Model[List[Doc], Floats2d]): The model. Output: logits. Shape: (n_docs, n_labels)
    """
    from .layers.sharing import make_listening_textcat
    from .layers.shim import TextCatShim

    settings = _head_settings(rate_factor, head_rate_factor, average_last, device)
    return make_listening_textcat(upstream, TextCatShim(settings), nO)


def _head_settings(
    rate_factor: float, head_rate_factor: float, average_last: float, device: str
) -> "ClassifierSettings":
    """Settings of a classifier that is a head only."""
    from .layers.shim import ClassifierSettings

    _check_range(0.0, inf, rate_factor=rate_factor, head_rate_factor=head_rate_factor)
    _check_range(0.0, 1.0, average_last=average_last)
    return ClassifierSettings(
        rate_factor=rate_factor,
        head_rate_factor=head_rate_factor,
        average_last=average_last,
        device=device,
    )


def _check_range(low: float, high: float, **settings: float) -> None:
    allowed = f"{low:g} or more" if high == inf else f"{low:g} to {high:g}"
    for name, value in settings.items():
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; allowed is {allowed}.")

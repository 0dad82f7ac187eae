import pytest
import spacy
from thinc.api import Config, ConfigValidationError, Linear

from spacy_xlt.architectures import (
    build_bottleneck_v1,
    build_encoder_v1,
    build_lora_v1,
    build_prefix_v1,
    build_robust_v1,
    build_shared_encoder_v1,
    build_shared_transformer_v1,
    build_textcat_v1,
)
from spacy_xlt.types import (
    BottleneckSettings,
    EncoderSettings,
    LoRASettings,
    PrefixSettings,
    RobustSettings,
)


def resolve(text):
    return spacy.registry.resolve(Config().from_str(text))["x"]


def test_an_encoder_from_a_config():
    settings = resolve(
        '[x]\n@architectures = "spacy_xlt.Encoder.v1"\npath = "somewhere"\npooling = "last"\n'
        'prefix = "query: "\nnormalize = true\nwindow_pieces = 100\noverlap_pieces = 0'
    )
    assert settings == EncoderSettings("somewhere", "last", "query: ", True, 100, 0)
    default = resolve('[x]\n@architectures = "spacy_xlt.Encoder.v1"')
    assert default == EncoderSettings(None, None, "", False, 256, 32)


def test_a_classifier_from_a_config():
    model = resolve(
        '[x]\n@architectures = "spacy_xlt.TextCat.v1"\nfreeze = 3\nprecision = "bf16"\nnO = 5\n'
        '[x.encoder]\n@architectures = "spacy_xlt.Encoder.v1"\npath = "somewhere"'
    )
    (shim,) = model.shims
    assert (shim.settings.freeze, shim.settings.precision, shim.reading.path) == (
        3,
        "bf16",
        "somewhere",
    )
    assert model.get_dim("nO") == 5 and model.get_ref("output_layer") is model
    assert not shim.is_ready


def test_a_richer_objective_from_a_config():
    text = (
        '[x]\n@architectures = "spacy_xlt.TextCat.v1"\n'
        '[x.encoder]\n@architectures = "spacy_xlt.Encoder.v1"\n'
    )
    (shim,) = resolve(text).shims
    assert shim.settings.robust == RobustSettings()
    assert not (shim.settings.robust.has_second_pass or shim.settings.robust.changes_pieces)
    text += '[x.robust]\n@architectures = "spacy_xlt.Robust.v1"\nagreement = 1.0\nmask_rate = 0.1'
    (shim,) = resolve(text).shims
    assert shim.settings.robust == RobustSettings(agreement=1.0, mask_rate=0.1)
    assert shim.settings.robust.has_second_pass and shim.settings.robust.changes_pieces


def test_a_shared_encoder_has_no_richer_objective():
    """Its passes and its weights are the other component's."""
    with pytest.raises(ConfigValidationError, match="robust"):
        resolve(
            '[x]\n@architectures = "spacy_xlt.SharedTransformer.v1"\n'
            '[x.robust]\n@architectures = "spacy_xlt.Robust.v1"\nagreement = 1.0\n'
            '[x.tok2vec]\n@architectures = "spacy-transformers.TransformerListener.v1"\n'
            '[x.tok2vec.pooling]\n@layers = "reduce_mean.v1"'
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"agreement": -1.0}, r"agreement is -1\.0; allowed is 0 or more"),
        ({"adversary_radius": float("nan")}, r"adversary_radius is nan; allowed is 0 or more"),
        ({"pull_to_start": -0.1}, r"pull_to_start is -0\.1; allowed is 0 or more"),
        ({"subword_sharpness": -0.1}, r"subword_sharpness is -0\.1; allowed is 0 or more"),
        ({"language_reversal": -0.1}, r"language_reversal is -0\.1; allowed is 0 or more"),
        ({"mask_rate": 1.0}, r"mask_rate is 1\.0; allowed is 0 to 0\.99"),
        ({"drop_rate": -0.1}, r"drop_rate is -0\.1; allowed is 0 to 0\.99"),
        ({"subword_rate": 1.1}, r"subword_rate is 1\.1; allowed is 0 to 1"),
    ],
)
def test_settings_of_the_objective_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        build_robust_v1(**settings)


def test_a_shared_encoder_from_a_config():
    model = resolve(
        '[x]\n@architectures = "spacy_xlt.SharedTransformer.v1"\nhead_rate_factor = 3.0\n'
        '[x.tok2vec]\n@architectures = "spacy-transformers.TransformerListener.v1"\n'
        '[x.tok2vec.pooling]\n@layers = "reduce_mean.v1"'
    )
    (shim,) = model.get_ref("output_layer").shims
    assert shim.reading is None and shim.settings.head_rate_factor == 3.0
    assert model.get_ref("tok2vec") is model.layers[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_pieces": 7}, r"window_pieces is 7; allowed is 8 or more"),
        ({"overlap_pieces": -1}, r"overlap_pieces is -1; allowed is 0 to 255"),
        ({"overlap_pieces": 256}, r"overlap_pieces is 256; allowed is 0 to 255, less than window"),
    ],
)
def test_readings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        build_encoder_v1(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate_factor": -1.0}, r"rate_factor is -1\.0; allowed is 0 or more"),
        ({"head_rate_factor": -1.0}, r"head_rate_factor is -1\.0; allowed is 0 or more"),
        ({"layer_decay": 1.1}, r"layer_decay is 1\.1; allowed is 0 to 1"),
        ({"average_last": -0.1}, r"average_last is -0\.1; allowed is 0 to 1"),
        ({"neighbour_share": -0.1}, r"neighbour_share is -0\.1; allowed is 0 to 1"),
        ({"ngram_share": 1.5}, r"ngram_share is 1\.5; allowed is 0 to 1"),
        ({"freeze": "encoder", "neighbours": -1}, r"neighbours is -1; allowed is 0 or more"),
        ({"neighbours": 5}, r"neighbours is 5, but freeze is 'embeddings': training would move"),
        ({"start_share": 1.1}, r"start_share is 1\.1; allowed is 0 to 1"),
        ({"max_train_pieces": 0}, r"max_train_pieces is 0; allowed is 1 or more"),
        ({"max_train_windows": 0}, r"max_train_windows is 0; allowed is 1 or more"),
        ({"max_predict_pieces": -5}, r"max_predict_pieces is -5; allowed is 1 or more"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        build_textcat_v1(encoder=build_encoder_v1(), **settings)


def test_settings_of_a_shared_encoder_out_of_range():
    for settings in ({"rate_factor": -1.0}, {"average_last": 2.0}, {"head_rate_factor": -0.5}):
        with pytest.raises(ValueError, match=rf"{next(iter(settings))} is .*; allowed is 0"):
            build_shared_transformer_v1(tok2vec=Linear(), **settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("pooling", "max"), ("prefix", 3), ("normalize", "yes"), ("window_pieces", 10.5)],
)
def test_the_registry_checks_types(name, value):
    with pytest.raises(ValueError, match=name):
        spacy.registry.resolve({"x": {"@architectures": "spacy_xlt.Encoder.v1", name: value}})


@pytest.mark.parametrize(
    ("block", "adapter"),
    [
        ('"spacy_xlt.LoRA.v1"', LoRASettings(8, 16.0, 0.0, None)),
        (
            '"spacy_xlt.LoRA.v1"\nrank = 2\nalpha = 4.0\ndropout = 0.1\ntargets = ["query"]',
            LoRASettings(2, 4.0, 0.1, ("query",)),
        ),
        ('"spacy_xlt.Bottleneck.v1"\nwidth = 7', BottleneckSettings(7)),
        ('"spacy_xlt.Prefix.v1"\nlength = 5', PrefixSettings(5)),
    ],
)
def test_adapters_from_a_config(block, adapter):
    model = resolve(
        '[x]\n@architectures = "spacy_xlt.TextCat.v1"\n'
        '[x.encoder]\n@architectures = "spacy_xlt.Encoder.v1"\n'
        f"[x.adapter]\n@architectures = {block}"
    )
    assert model.shims[0].settings.adapter == adapter


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: build_lora_v1(rank=0), "rank is 0; allowed is 1 or more"),
        (lambda: build_lora_v1(alpha=-1.0), "alpha is -1.0; allowed is 0 or more"),
        (lambda: build_lora_v1(dropout=1.0), "dropout is 1.0; allowed is 0 to 0.99"),
        (lambda: build_bottleneck_v1(width=0), "width is 0; allowed is 1 or more"),
        (lambda: build_prefix_v1(length=0), "length is 0; allowed is 1 or more"),
    ],
)
def test_adapters_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_an_adapter_in_an_encoder_that_is_not_trained():
    with pytest.raises(ValueError, match="freeze is 'encoder', but there is an adapter to train"):
        build_textcat_v1(encoder=build_encoder_v1(), freeze="encoder", adapter=build_lora_v1())


def test_a_head_on_another_components_encoder():
    model = resolve(
        '[x]\n@architectures = "spacy_xlt.SharedEncoder.v1"\nupstream = "topic"\nnO = 2'
    )
    assert model.get_ref("shared_vectors").shims[0].upstream == "topic"
    assert model.get_ref("output_layer").get_dim("nO") == 2
    with pytest.raises(ValueError, match="average_last is 2.0; allowed is 0 to 1"):
        build_shared_encoder_v1(upstream="topic", average_last=2.0)

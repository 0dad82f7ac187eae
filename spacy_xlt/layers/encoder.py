"""The transformer that turns word pieces into vectors. The only file that knows transformers."""

import copy
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy
import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig
from transformers.modeling_utils import no_init_weights
from transformers.utils import logging

from ..encoder_files import CONFIG_FILE, check_encoder_config, read_encoder_config
from ..types import AdapterSettings, LoRASettings
from .adapters import add_adapter, merge_lora
from .adversary import ChangeInput
from .device import autocast
from .dropout import Dropout
from .packed_bert import (
    LayerMaps,
    embed_pieces,
    maps_for_prediction,
    maps_for_training,
    run_layers,
    supports_packing,
)
from .window_cache import WindowCache
from .windows import WindowBatch

# model_type -> class of transformers that has the encoder and nothing more. Named here rather than
# found by the library's automatic classes, which import every model they know in order to choose.
_CLASSES: Dict[str, str] = {
    "bert": "BertModel",
    "deberta-v2": "DebertaV2Model",
    "distilbert": "DistilBertModel",
    "gpt2": "GPT2Model",
    "modernbert": "ModernBertModel",
    "mt5": "MT5EncoderModel",
    "roberta": "RobertaModel",
    "t5": "T5EncoderModel",
    "xlm-roberta": "XLMRobertaModel",
    "xlm-roberta-xl": "XLMRobertaXLModel",
    "xlnet": "XLNetModel",
}
# Those with a layer above the encoder that classification has no use for.
_SETTINGS: Dict[str, Dict[str, Any]] = {
    name: {"add_pooling_layer": False}
    for name in ("bert", "roberta", "xlm-roberta", "xlm-roberta-xl")
}
# Those that can only compute attention step by step.
_EAGER_ONLY = ("deberta-v2", "xlnet", "t5", "mt5", "xlm-roberta-xl")
# Names under which configurations give the number of positions.
_POSITION_KEYS = ("max_position_embeddings", "n_positions")


class Encoder(nn.Module):
    """A transformer that returns the vectors of its last layer."""

    def __init__(self, transformer: nn.Module):
        super().__init__()
        self.transformer: Any = transformer
        self.adapter: Optional[AdapterSettings] = None
        self._prediction_maps: Optional[List[LayerMaps]] = None

    @property
    def config(self) -> PretrainedConfig:
        return self.transformer.config

    @property
    def width(self) -> int:
        return int(self.config.hidden_size)

    @property
    def n_layers(self) -> int:
        return int(self.config.num_hidden_layers)

    @property
    def max_pieces(self) -> int:
        """Longest input, special pieces included."""
        for key in _POSITION_KEYS:
            n_positions = getattr(self.config, key, None)
            if n_positions and n_positions > 0:  # XLNet says -1 for no limit
                # RoBERTa's positions start after the padding id.
                offset = self.config.pad_token_id + 1 if "roberta" in self.model_type else 0
                return int(n_positions) - offset
        return 512  # relative positions: no limit but memory; what such encoders were trained with

    @property
    def model_type(self) -> str:
        return str(self.config.model_type)

    @property
    def is_packed(self) -> bool:
        """Whether this package computes the layers itself, rather than the transformers library."""
        return supports_packing(self.transformer)

    @property
    def n_frozen_layers(self) -> int:
        """Lowest layers of a packed encoder that, like all below them, are not trained."""
        parts = takewhile(_is_frozen, [self.transformer.embeddings, *self._layers])
        return max(0, sum(1 for _ in parts) - 1)

    def forward(
        self,
        batch: WindowBatch,
        *,
        dtype: torch.dtype,
        dropout: Dropout,
        frozen: Optional[WindowCache] = None,
        vectors: Optional[Tensor] = None,
        change: Optional[ChangeInput] = None,
    ) -> Tensor:
        """Encode windows.

        batch (WindowBatch): The windows.
        dtype (torch.dtype): Arithmetic of linear maps and attention.
        dropout (Dropout): Dropout of training; one with rate 0 for prediction.
        frozen (Optional[WindowCache]): Keeps what the frozen lowest layers give, which then is
            without dropout. Encoders that only the transformers library runs make no use of it.
        vectors (Optional[Tensor]): What the batch's ids are rows of; None for the encoder's own
            table of pieces. Shape: (n_rows, width)
        change (Optional[ChangeInput]): Applied to what enters the trained layers; in encoders
            that only the transformers library runs, to the vectors of pieces.
        RETURNS (Tensor): Piece vectors, fp32. Shape: (n_pieces, width)
        """
        if not self.is_packed:
            if change is not None:
                batch, vectors = self._change_vectors(batch, change)
            return self._run_library(batch, dtype, dropout, vectors)
        n_frozen = 0 if frozen is None else self.n_frozen_layers
        if frozen is None or n_frozen == 0:
            x = embed_pieces(self.transformer, batch, dropout=dropout, vectors=vectors)
        else:
            x = frozen.get(batch, lambda missing: self._run_frozen(missing, n_frozen, dtype))
        if change is not None:
            x = change(x, batch.piece_docs(x.device))
        layers = self._layers[n_frozen:]
        maps = self._prediction_maps or maps_for_training(layers, dtype)
        return run_layers(layers, maps, x, batch.groups, dtype=dtype, dropout=dropout)

    def _change_vectors(
        self, batch: WindowBatch, change: ChangeInput
    ) -> Tuple[WindowBatch, Tensor]:
        """Changed vectors of a batch's pieces, and the batch with its ids as rows of them."""
        ids, _ = batch.to_torch(self.piece_table.device)
        vectors = nn.functional.embedding(ids, self.piece_table).float()
        vectors = change(vectors, batch.piece_docs(vectors.device))
        return replace(batch, ids=numpy.arange(batch.ids.size)), vectors

    @torch.no_grad()
    def _run_frozen(self, batch: WindowBatch, n_layers: int, dtype: torch.dtype) -> Tensor:
        """Vectors after the lowest layers, without dropout, in the precision to keep them in."""
        layers, nothing = self._layers[:n_layers], Dropout(0.0)
        x = embed_pieces(self.transformer, batch, dropout=nothing)
        maps = maps_for_training(layers, dtype)
        x = run_layers(layers, maps, x, batch.groups, dtype=dtype, dropout=nothing)
        return x if dtype == torch.float32 else x.half()

    def _run_library(
        self,
        batch: WindowBatch,
        dtype: torch.dtype,
        dropout: Dropout,
        vectors: Optional[Tensor],
    ) -> Tensor:
        """Vectors as the transformers library computes them, from padded windows."""
        set_dropout(self.transformer, dropout.rate)
        device = self.piece_table.device
        parts = []
        pad_id = (self.config.pad_token_id or 0) if vectors is None else 0
        for ids, mask in batch.padded(pad_id, device):
            inputs = (
                {"input_ids": ids}
                if vectors is None
                else {"inputs_embeds": nn.functional.embedding(ids, vectors)}
            )
            with autocast(device, dtype):
                hidden = self.transformer(**inputs, attention_mask=mask, return_dict=True)[0]
            parts.append(hidden[mask.bool()].float())
        return torch.cat(parts)

    @property
    def _layers(self) -> List[Any]:
        return list(self.transformer.encoder.layer)

    @torch.no_grad()
    def prepare_for_prediction(self, dtype: torch.dtype) -> None:
        """Arrange the linear maps for speed. Later changes of the weights are not seen.

        dtype (torch.dtype): Arithmetic of the maps.
        """
        if self.is_packed:
            self._prediction_maps = maps_for_prediction(self._layers, dtype)
        else:
            for parameter in linear_parameters(self):
                parameter.data = parameter.data.to(dtype)

    def named_depths(self) -> Iterator[Tuple[str, nn.Parameter, int]]:
        """Every parameter with its depth: 0 for what is below the first layer, 1 for the first
        layer, `n_layers` for the last one and for what is above it.

        YIELDS (Tuple[str, nn.Parameter, int]): Name, parameter, depth.
        """
        prefix = self.layers_prefix()
        for name, parameter in self.named_parameters():
            if name.startswith(prefix):
                depth = int(name[len(prefix) :].split(".", 1)[0]) + 1
            elif parameter is self.piece_table or "embed" in name or name.endswith("wpe.weight"):
                depth = 0
            else:
                depth = self.n_layers
            yield name, parameter, depth

    @property
    def piece_table(self) -> nn.Parameter:
        """The word-piece embeddings. Shape: (n_pieces, width)"""
        return self.transformer.get_input_embeddings().weight

    def layers_prefix(self) -> str:
        """With what the names of the parameters of layers begin; their number follows."""
        for name, module in self.named_modules():
            if isinstance(module, nn.ModuleList) and len(module) == self.n_layers:
                return f"{name}."
        raise ValueError(
            f"Cannot find the {self.n_layers} layers of a '{self.model_type}' encoder."
        )

    def set_adapter(self, adapter: Optional[AdapterSettings]) -> None:
        """Have an adapter, or none. LoRA that is there already becomes part of the weights.

        RAISES (ValueError): If the encoder cannot have it, or has one that cannot be merged.
        """
        if adapter == self.adapter:
            return
        if isinstance(self.adapter, LoRASettings):
            merge_lora(self.transformer)
        elif self.adapter is not None:
            raise ValueError(
                f"The encoder has the adapter {self.adapter}, which cannot become part of its "
                f"weights. Set the same adapter in the component's model, or start from a pipeline "
                f"without."
            )
        self.adapter = None
        if adapter is None:
            return
        if not (self.is_packed or isinstance(adapter, LoRASettings)):
            raise ValueError(
                f"A '{self.model_type}' encoder cannot have the adapter {adapter}: only those of "
                f"the BERT family can. Use spacy_xlt.LoRA.v1."
            )
        if adapter.n_below >= self.n_layers:
            raise ValueError(
                f"freeze leaves none of the encoder's {self.n_layers} layers to an adapter. Set "
                f"freeze to 'embeddings', or adapter to null to train the head only."
            )
        prefix = self.layers_prefix()
        layers = [
            (f"{prefix}{i}".removeprefix("transformer."), self.get_submodule(f"{prefix}{i}"))
            for i in range(adapter.n_below, self.n_layers)
        ]
        add_adapter(self.transformer, layers, adapter)
        self.adapter = adapter

    def to_json(self) -> Dict[str, Any]:
        """The configuration, as `config.json` holds it."""
        # The library's own notes of where and how it was loaded do not belong to the model.
        return {k: v for k, v in self.config.to_dict().items() if not k.startswith("_")}

    def tie_weights(self) -> None:
        """Let parameters that the model shares between modules be one tensor again."""
        self.transformer.tie_weights()


def _is_frozen(part: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in part.parameters())


def load_encoder(path: Path) -> Encoder:
    """Read an encoder directory, in fp32.

    path (Path): Directory with config.json and *.safetensors.
    RETURNS (Encoder): The encoder, ready for training.
    RAISES (ValueError): If the directory is no encoder, asks for foreign code, holds no
        safetensors, or holds weights of another shape.
    """
    path = Path(path)
    model_type = read_encoder_config(path)["model_type"]
    if not any(path.glob("*.safetensors")):
        raise ValueError(
            f"'{path}' has a {CONFIG_FILE} but no *.safetensors. Weights in pickle files (*.bin) "
            f"are refused; fetch the encoder again or convert them to safetensors."
        )
    try:
        with _without_warnings():
            transformer, info = _model_class(model_type).from_pretrained(
                str(path),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                torch_dtype=torch.float32,
                attn_implementation="eager",
                output_loading_info=True,
                **_SETTINGS.get(model_type, {}),
            )
    except (RuntimeError, OSError, KeyError) as e:
        raise ValueError(f"Cannot read the encoder in '{path}': {e}") from e
    except Exception as e:
        # The safetensors library raises its own error, which is no ValueError.
        if type(e).__name__ != "SafetensorError":
            raise
        raise ValueError(
            f"The weights in '{path}' are damaged: {e}. Fetch the encoder again."
        ) from e
    if info["missing_keys"]:
        raise ValueError(
            f"'{path}' lacks {len(info['missing_keys'])} tensors of a '{model_type}' encoder, "
            f"for instance {sorted(info['missing_keys'])[:3]}. Fetch the encoder again."
        )
    return Encoder(transformer)


@torch.no_grad()
def mix_encoders(encoder: Encoder, other: Encoder, share: float, *, source: str) -> None:
    """Bring the weights of an encoder towards those of another, on the straight line between.

    encoder (Encoder): Is changed.
    other (Encoder): The same encoder before or after training.
    share (float): What the other one's weights count, in [0, 1].
    source (str): Where the other one is from, for messages.
    RAISES (ValueError): If they are not of one shape; then nothing changes.
    SOURCE: Wortsman et al. (2022), https://arxiv.org/abs/2109.01903, section 3
    """
    others = dict(other.named_parameters())
    shapes = {name: tuple(p.shape) for name, p in others.items()}
    unlike = [n for n, p in encoder.named_parameters() if shapes.pop(n, None) != tuple(p.shape)]
    if unlike or shapes:
        raise ValueError(
            f"The encoder in '{source}' is not the one that the pipeline was trained from: "
            f"{len(unlike) + len(shapes)} tensors differ in shape, such as "
            f"{[*unlike, *shapes][0]}. Set paths.encoder to that one, or untouched_share to 0 "
            f"under [initialize.components]."
        )
    for name, parameter in encoder.named_parameters():
        untouched = others[name].to(parameter)
        if not torch.equal(parameter, untouched):  # the table of pieces, mostly, is
            parameter.lerp_(untouched, share)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence the library's list of weights that a file holds beside the encoder's."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def build_encoder(config: Dict[str, Any], *, attention: str = "eager") -> Encoder:
    """An encoder without weights, to be filled with `load_state_dict(…, assign=True)`.

    config (Dict[str, Any]): Content of a `config.json`.
    attention (str): "eager", or "sdpa" where the model type has it.
    RETURNS (Encoder): The encoder; its parameters hold no meaningful numbers.
    """
    check_encoder_config(config, source="The pipeline's encoder configuration")
    model_type = config["model_type"]
    hf_config = AutoConfig.for_model(**copy.deepcopy(config))
    hf_config._attn_implementation = "eager" if model_type in _EAGER_ONLY else attention
    with no_init_weights():
        model_class = _model_class(model_type)
        return Encoder(model_class._from_config(hf_config, **_SETTINGS.get(model_type, {})))


def _model_class(model_type: str) -> Any:
    return getattr(transformers, _CLASSES[model_type])


def set_dropout(module: nn.Module, rate: float) -> None:
    """Set every dropout inside a module, the attention's included, but LoRA's, which has its own.

    rate (float): Share of values that training drops, in [0, 1).
    """
    part: Any
    rate = float(rate)  # an integer would not be found again below
    for name, part in module.named_modules():
        if isinstance(part, nn.Dropout) and "lora_dropout" not in name:
            part.p = rate
        # Attention of the functional kind keeps the rate as a number.
        for name in ("dropout_prob", "attention_dropout", "dropout"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, rate)


def linear_parameters(module: nn.Module) -> List[nn.Parameter]:
    """Weights and biases of every linear map: what low precision is worth storing for."""
    return [
        p for part in module.modules() if isinstance(part, nn.Linear) for p in part.parameters()
    ]

"""Small trained parts in an encoder that stays as it is: LoRA, bottlenecks, prefixes.

The peft library makes and merges LoRA's parts. It has no bottlenecks, and hands prefixes only to
models that generate text; both are a few lines. What they compute in the packed forward pass is
here too.
"""

from typing import Any, Iterable, Optional, Sequence, Tuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..compat import require
from ..types import AdapterSettings, BottleneckSettings, LoRASettings
from .linear import LinearMap, MakeMap, cast_map

# peft's name of the adapter; there is one.
NAME = "default"
# What stands in the names of adapters' parameters, and only there.
_INNER = (f".lora_A.{NAME}.", f".lora_B.{NAME}.", ".bottleneck_down.", ".bottleneck_up.")
_MARKS = (*_INNER, ".prefix")
# What an adapter puts into the names of the parameters that it wraps.
_WRAPPED = ".base_layer."
# Standard deviation of a prefix at first: like that of the encoders' own weights.
PREFIX_SPREAD = 0.02


def is_adapter_name(name: str) -> bool:
    """Whether a parameter belongs to an adapter, by its name."""
    return any(mark in name for mark in _MARKS)


def plain_name(name: str) -> str:
    """Name of a parameter of the encoder before an adapter wrapped it."""
    return name.replace(_WRAPPED, ".")


def stored_name(plain: str, adapter_names: Iterable[str]) -> str:
    """Name of a parameter of the encoder among parameters of an adapter; see `plain_name`.

    plain (str): Its name without the adapter.
    adapter_names (Iterable[str]): Names of the adapter's parameters.
    """
    module, _, last = plain.rpartition(".")
    inner = tuple(f"{module}{mark}" for mark in _INNER)
    is_wrapped = any(name.startswith(inner) for name in adapter_names)
    return f"{module}{_WRAPPED}{last}" if is_wrapped else plain


class Bottleneck(nn.Module):
    """A linear map followed by a narrow block whose result is added to that of the map.

    SOURCE: Houlsby et al. (2019, https://arxiv.org/abs/1902.00751), with one block per layer, after
        its inner map, as in Pfeiffer et al. (2021, https://arxiv.org/abs/2005.00247).

    base_layer (nn.Linear): The map.
    width (int): Width of the block.
    """

    def __init__(self, base_layer: nn.Linear, width: int):
        super().__init__()
        self.base_layer = base_layer
        n_out = base_layer.out_features
        self.bottleneck_down = nn.Linear(n_out, width)
        self.bottleneck_up = nn.Linear(width, n_out)
        # So it changes nothing at first.
        nn.init.zeros_(self.bottleneck_up.weight)
        nn.init.zeros_(self.bottleneck_up.bias)


def add_adapter(
    transformer: Any, layers: Sequence[Tuple[str, Any]], settings: AdapterSettings
) -> None:
    """Put an adapter into layers of a transformer. At first it changes nothing, or hardly.

    transformer: The transformer.
    layers (Sequence[Tuple[str, Any]]): The layers and their names in it.
    settings (AdapterSettings): Which one.
    RAISES (ValueError): If the layers have nothing that it could be put on.
    RAISES (ImportError): If LoRA is asked for without the peft library.
    """
    if isinstance(settings, LoRASettings):
        _add_lora(transformer, layers, settings)
        return
    for _, layer in layers:
        if isinstance(settings, BottleneckSettings):
            layer.output.dense = Bottleneck(layer.output.dense, settings.width)
        else:
            attention = layer.attention.self
            shape = (2, settings.length, attention.all_head_size)
            attention.prefix = nn.Parameter(torch.randn(shape) * PREFIX_SPREAD)


def _add_lora(transformer: Any, layers: Sequence[Tuple[str, Any]], settings: LoRASettings) -> None:
    maps = [
        f"{layer_name}.{name}"
        for layer_name, layer in layers
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear)
    ]
    targets = settings.targets
    chosen = [m for m in maps if targets is None or m.endswith(tuple(f".{t}" for t in targets))]
    if not chosen:
        first = f"{layers[0][0]}."
        known = [name.removeprefix(first) for name in maps if name.startswith(first)]
        raise ValueError(
            f"LoRA's targets are {targets}, but none of them is a linear map of the encoder's "
            f"layers, which have: {', '.join(known) or 'none'}. Name some of these in "
            f"adapter.targets, or null for all."
        )
    peft: Any = require("peft", "LoRA")
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=chosen,
    )
    peft.inject_adapter_in_model(config, transformer, adapter_name=NAME)


@torch.no_grad()
def merge_lora(transformer: Any) -> None:
    """Add what LoRA learned to the weights it stands on, which become fp32, and take it out."""
    for name, module in list(transformer.named_modules()):
        if _has_lora(module):
            module.base_layer.weight.data = module.base_layer.weight.data.float()
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(transformer.get_submodule(parent), child, module.base_layer)
    del transformer.peft_config  # the library's note of what it injected


def training_map(modules: Sequence[Any], dtype: torch.dtype) -> LinearMap:
    """Linear modules on the same input as one map, with what adapters add to each.

    Products with the weights that an adapter stands on have no gradients of these, so a step
    takes less time than one of training them would.
    """
    base = cast_map([_base_of(module) for module in modules], dtype)
    down, up = _low_rank(modules, dtype)
    if down is None:
        return _with_bottleneck(modules, base, dtype)
    dropout = next(module.lora_dropout[NAME] for module in modules if _has_lora(module))

    def linear(x: Tensor, gelu: bool) -> Tensor:
        out = torch.addmm(base(x, False), F.linear(dropout(x), down), up)
        return F.gelu(out) if gelu else out

    return linear


def prediction_map(modules: Sequence[Any], dtype: torch.dtype, make: MakeMap) -> LinearMap:
    """The same for prediction: LoRA is part of the weights, so it takes no time.

    make (MakeMap): Makes the map of plain linear modules.
    """
    return _with_bottleneck(modules, make([_merged(module) for module in modules], dtype), dtype)


def _base_of(module: Any) -> nn.Linear:
    return cast(nn.Linear, getattr(module, "base_layer", module))


def _has_lora(module: Any) -> bool:
    return NAME in getattr(module, "lora_A", {})


def _merged(module: Any) -> nn.Linear:
    """A linear module with LoRA's part in its weight; the module itself if it has none."""
    base = _base_of(module)
    if not _has_lora(module):
        return base
    merged = nn.Linear(base.in_features, base.out_features, device="meta")
    weight = base.weight.detach().float() + module.get_delta_weight(NAME).detach()
    merged.weight, merged.bias = nn.Parameter(weight, requires_grad=False), base.bias
    return merged


def _low_rank(modules: Sequence[Any], dtype: torch.dtype) -> Tuple[Optional[Tensor], Tensor]:
    """LoRA's two factors for modules side by side; None, and nothing, where there is no LoRA.

    RETURNS (Tuple[Optional[Tensor], Tensor]): Shapes: (n_ranks, n_in), (n_ranks, n_out)
    """
    downs = [module.lora_A[NAME].weight for module in modules if _has_lora(module)]
    if not downs:
        return None, torch.empty(0)
    ups = [
        module.lora_B[NAME].weight.t() * module.scaling[NAME]
        if _has_lora(module)
        else module.weight.new_zeros(0, module.out_features)
        for module in modules
    ]
    up = ups[0] if len(ups) == 1 else torch.block_diag(*ups)
    return torch.cat(downs).to(dtype), up.to(dtype)


def _with_bottleneck(modules: Sequence[Any], base: LinearMap, dtype: torch.dtype) -> LinearMap:
    module = modules[0]
    if not isinstance(module, Bottleneck):
        return base
    down, up = cast_map([module.bottleneck_down], dtype), cast_map([module.bottleneck_up], dtype)

    def linear(x: Tensor, gelu: bool) -> Tensor:
        out = base(x, False)
        out = out + up(down(out, True), False)
        return F.gelu(out) if gelu else out

    return linear

"""The BERT family's forward pass over packed windows: no padding but inside attention.

A padded batch of texts of mixed lengths is a third padding, and most of a step's time goes into
linear maps, which do not care where one text ends and the next begins. So all of them run on one
array of pieces, and only attention sees windows, in groups of like length.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .adapters import prediction_map, training_map
from .dropout import Dropout
from .linear import LinearMap, MakeMap, can_lay_out, cast_map, laid_out_map
from .windows import AttentionGroup, WindowBatch

MODEL_TYPES = ("bert", "roberta", "xlm-roberta")


def supports_packing(transformer: Any) -> bool:
    """Whether a transformer is a plain encoder of the BERT family."""
    config = transformer.config
    return (
        config.model_type in MODEL_TYPES
        and config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and not getattr(config, "is_decoder", False)
    )


@dataclass(frozen=True)
class LayerMaps:
    """The linear maps of a layer: to queries, keys and values side by side, from attention's
    result, and to and from the inner width.

    prefix (Optional[Tensor]): Keys and values that all windows attend to. Shape: (2, n, width)
    """

    qkv: LinearMap
    attended: LinearMap
    inner: LinearMap
    outer: LinearMap
    prefix: Optional[Tensor]


def maps_for_training(layers: Sequence[Any], dtype: torch.dtype) -> List[LayerMaps]:
    """The maps of layers with the weights of this moment, which gradients go through."""
    return [_make_maps(layer, dtype, training_map) for layer in layers]


def maps_for_prediction(layers: Sequence[Any], dtype: torch.dtype) -> List[LayerMaps]:
    """The maps of layers, fast and once for all."""
    make = laid_out_map if can_lay_out(next(layers[0].parameters()).device) else cast_map
    return [_make_maps(layer, dtype, partial(prediction_map, make=make)) for layer in layers]


def _make_maps(layer: Any, dtype: torch.dtype, make: MakeMap) -> LayerMaps:
    own = layer.attention.self
    prefix = getattr(own, "prefix", None)
    return LayerMaps(
        qkv=make([own.query, own.key, own.value], dtype),
        attended=make([layer.attention.output.dense], dtype),
        inner=make([layer.intermediate.dense], dtype),
        outer=make([layer.output.dense], dtype),
        prefix=None if prefix is None else prefix.to(dtype),
    )


def embed_pieces(
    transformer: Any, batch: WindowBatch, *, dropout: Dropout, vectors: Optional[Tensor] = None
) -> Tensor:
    """What the first layer sees of a batch's pieces.

    transformer: A model of transformers' BERT family.
    batch (WindowBatch): The windows.
    dropout (Dropout): Applied where the family applies it.
    vectors (Optional[Tensor]): What the batch's ids are rows of; None for the transformer's own
        table. Shape: (n_rows, width)
    RETURNS (Tensor): fp32. Shape: (n_pieces, width)
    """
    table, config = transformer.embeddings, transformer.config
    rows = table.word_embeddings.weight if vectors is None else vectors
    ids, positions = batch.to_torch(rows.device)
    # RoBERTa's positions start after the padding id.
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    x = (
        F.embedding(ids, rows).float()
        + F.embedding(positions + offset, table.position_embeddings.weight).float()
        + table.token_type_embeddings.weight[0].float()
    )
    return dropout(_norm(table.LayerNorm, x))


def run_layers(
    layers: Sequence[Any],
    maps: Sequence[LayerMaps],
    x: Tensor,
    groups: List[AttentionGroup],
    *,
    dtype: torch.dtype,
    dropout: Dropout,
) -> Tensor:
    """Vectors of pieces after some neighbouring layers.

    layers: Layers of a model of transformers' BERT family.
    maps (Sequence[LayerMaps]): Their linear maps.
    x (Tensor): Vectors before them, fp32. Shape: (n_pieces, width)
    groups (List[AttentionGroup]): The windows of the pieces.
    dtype (torch.dtype): Arithmetic of the maps and of attention. Sums of residuals and
        LayerNorms stay in fp32.
    dropout (Dropout): Applied where the family applies it.
    RETURNS (Tensor): fp32. Shape: (n_pieces, width)
    """
    for layer, own in zip(layers, maps, strict=True):
        n_heads = layer.attention.self.num_attention_heads
        context = _attend(own.qkv(x.to(dtype), False), groups, n_heads, dropout, own.prefix)
        x = x + dropout(own.attended(context, False))
        x = _norm(layer.attention.output.LayerNorm, x)
        x = x + dropout(own.outer(own.inner(x.to(dtype), True), False))
        x = _norm(layer.output.LayerNorm, x)
    return x


def _norm(module: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, module.normalized_shape, module.weight, module.bias, module.eps)


def _attend(
    qkv: Tensor,
    groups: List[AttentionGroup],
    n_heads: int,
    dropout: Dropout,
    prefix: Optional[Tensor],
) -> Tensor:
    parts = [
        _attend_group(rows, group, n_heads, dropout, prefix)
        for rows, group in zip(qkv.split([g.n_pieces for g in groups]), groups, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _attend_group(
    rows: Tensor,
    group: AttentionGroup,
    n_heads: int,
    dropout: Dropout,
    prefix: Optional[Tensor],
) -> Tensor:
    n, longest, width = group.n_windows, group.longest, rows.shape[1] // 3
    index, mask = group.to_torch(rows.device)
    if index is not None:
        rows = _Scatter.apply(rows, index, n * longest)
    heads = rows.view(n, longest, 3, n_heads, width // n_heads).permute(2, 0, 3, 1, 4)
    q, k, v = heads.unbind(0)
    if prefix is not None:
        k, v, mask = _put_before(prefix, k, v, mask)
    # The fused kernel is fast forward, but on a CPU its backward pass is half of a step.
    if torch.is_grad_enabled() and rows.device.type == "cpu":
        context = _attend_stepwise(q, k, v, mask, dropout)
    else:
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout.rate)
    context = context.transpose(1, 2).reshape(n * longest, width)
    return context if index is None else _Gather.apply(context, index)


def _put_before(
    prefix: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor]
) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
    """Keys, values and mask with a prefix before those of each window.

    prefix (Tensor): Its keys and values. Shape: (2, length, width)
    """
    n, n_heads, _, width = k.shape
    length = prefix.shape[1]
    own = prefix.view(2, 1, length, n_heads, width).transpose(2, 3).expand(-1, n, -1, -1, -1)
    k, v = torch.cat([own[0], k], dim=2), torch.cat([own[1], v], dim=2)
    if mask is not None:
        mask = torch.cat([mask.new_ones(n, 1, 1, length), mask], dim=3)
    return k, v, mask


def _attend_stepwise(
    q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor], dropout: Dropout
) -> Tensor:
    scores = torch.matmul(q * (1.0 / math.sqrt(q.shape[-1])), k.transpose(-1, -2))
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.matmul(dropout(torch.softmax(scores, dim=-1)), v)


class _Scatter(torch.autograd.Function):
    """Rows to their places among rows of zeros; plain indexing has a slow backward pass."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, n_rows: int) -> Tensor:
        ctx.save_for_backward(index)
        return rows.new_zeros(n_rows, rows.shape[1]).index_copy_(0, index, rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return grads[0].index_select(0, index), None, None


class _Gather(torch.autograd.Function):
    """The inverse of `_Scatter`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.n_rows = rows.shape[0]
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        grad = grads[0]
        return grad.new_zeros(ctx.n_rows, grad.shape[1]).index_copy_(0, index, grad), None

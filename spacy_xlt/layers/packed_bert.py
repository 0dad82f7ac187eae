"""The BERT family's forward pass over packed windows: no padding but inside attention.

A padded batch of texts of mixed lengths is a third padding, and most of a step's time goes into
linear maps, which do not care where one text ends and the next begins. So all of them run on one
array of pieces, and only attention sees windows, in groups of like length.
"""

import math
from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropout
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


def encode_packed(
    transformer: Any, batch: WindowBatch, *, dtype: torch.dtype, dropout: Dropout
) -> Tensor:
    """Vectors of the last layer for every piece of a batch.

    transformer: A model of transformers' BERT family; its modules hold the weights.
    batch (WindowBatch): The windows.
    dtype (torch.dtype): Arithmetic of linear maps and attention. Sums of residuals and
        LayerNorms stay in fp32.
    dropout (Dropout): Applied where the family applies it.
    RETURNS (Tensor): fp32. Shape: (n_pieces, width)
    """
    table = transformer.embeddings
    device = table.word_embeddings.weight.device
    ids, positions = batch.to_torch(device)
    config = transformer.config
    # RoBERTa's positions start after the padding id.
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    x = (
        F.embedding(ids, table.word_embeddings.weight)
        + F.embedding(positions + offset, table.position_embeddings.weight)
        + table.token_type_embeddings.weight[0]
    )
    x = dropout(_norm(table.LayerNorm, x.float()))
    n_heads = config.num_attention_heads
    for layer in transformer.encoder.layer:
        x = _layer(layer, x, batch.groups, n_heads, dtype, dropout)
    return x


def _layer(
    layer: Any,
    x: Tensor,
    groups: List[AttentionGroup],
    n_heads: int,
    dtype: torch.dtype,
    dropout: Dropout,
) -> Tensor:
    maps = layer.attention.self
    weight = torch.cat([m.weight.to(dtype) for m in (maps.query, maps.key, maps.value)])
    bias = torch.cat([m.bias.to(dtype) for m in (maps.query, maps.key, maps.value)])
    qkv = F.linear(x.to(dtype), weight, bias)
    context = _attend(qkv, groups, n_heads, dropout)
    out = layer.attention.output
    x = _norm(out.LayerNorm, x + dropout(_linear(out.dense, context, dtype)))
    inner = F.gelu(_linear(layer.intermediate.dense, x.to(dtype), dtype))
    out = layer.output
    return _norm(out.LayerNorm, x + dropout(_linear(out.dense, inner, dtype)))


def _linear(module: nn.Linear, x: Tensor, dtype: torch.dtype) -> Tensor:
    return F.linear(x, module.weight.to(dtype), module.bias.to(dtype))


def _norm(module: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, module.normalized_shape, module.weight, module.bias, module.eps)


def _attend(qkv: Tensor, groups: List[AttentionGroup], n_heads: int, dropout: Dropout) -> Tensor:
    parts = [
        _attend_group(rows, group, n_heads, dropout)
        for rows, group in zip(qkv.split([g.n_pieces for g in groups]), groups, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _attend_group(rows: Tensor, group: AttentionGroup, n_heads: int, dropout: Dropout) -> Tensor:
    n, longest, width = group.n_windows, group.longest, rows.shape[1] // 3
    index, mask = group.to_torch(rows.device)
    if index is not None:
        rows = _Scatter.apply(rows, index, n * longest)
    heads = rows.view(n, longest, 3, n_heads, width // n_heads).permute(2, 0, 3, 1, 4)
    q, k, v = heads.unbind(0)
    # The fused kernel is fast forward, but on a CPU its backward pass is half of a step.
    if torch.is_grad_enabled() and rows.device.type == "cpu":
        context = _attend_stepwise(q, k, v, mask, dropout)
    else:
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout.rate)
    context = context.transpose(1, 2).reshape(n * longest, width)
    return context if index is None else _Gather.apply(context, index)


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

"""The mean of the weights of several training runs that have one start."""

from typing import TYPE_CHECKING, Any, Dict, Sequence

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .shim import TextCatShim

# Distance of two encoders, as a share of their length, from which they cannot have one start.
# Fine-tuning moves an encoder by about one per cent; encoders of different origin are apart by the
# square root of two.
MAX_DISTANCE = 0.5
# What counts beside the head, fitted to the training texts rather than trained.
FITTED = {"ngrams": "character n-grams", "neighbours": "training texts that vote"}


def average_trained(
    shims: Sequence["TextCatShim"], names: Sequence[str], shares: Sequence[float]
) -> Dict[str, Tensor]:
    """The weighted mean of what training has changed.

    shims (Sequence[TextCatShim]): Classifiers with an encoder of their own, for the same labels
        in the same order.
    names (Sequence[str]): How messages call them.
    shares (Sequence[float]): What each counts; they add up to 1.
    RETURNS (Dict[str, Tensor]): The mean, by name.
    RAISES (ValueError): If one has weights that are not numbers, another encoder, other frozen
        weights, or another way of reading texts.
    SOURCE: Wortsman et al. (2022), https://arxiv.org/abs/2203.05482, the uniform soup
    """
    for shim, name in zip(shims, names, strict=True):
        _check_numbers(shim, name)
    for shim, name in zip(shims[1:], names[1:], strict=True):
        _check_fit(shims[0], shim, names[0], name)
    means = {name: shares[0] * tensor for name, tensor in _trained(shims[0]).items()}
    for shim, share in zip(shims[1:], shares[1:], strict=True):
        for name, tensor in _trained(shim).items():
            means[name].add_(tensor.to(means[name].device), alpha=share)
    return means


def _trained(shim: "TextCatShim") -> Dict[str, Tensor]:
    frozen = set(shim.frozen_names())
    return {name: tensor for name, tensor in shim.tensors().items() if name not in frozen}


def _check_numbers(shim: "TextCatShim", name: str) -> None:
    broken = [key for key, tensor in shim.tensors().items() if not tensor.isfinite().all()]
    if broken:
        raise ValueError(
            f"{len(broken)} tensors of '{name}' hold values that are not numbers, such as "
            f"{broken[0]}: its training diverged. Leave it out, or train it again."
        )


def _check_fit(first: "TextCatShim", other: "TextCatShim", first_name: str, name: str) -> None:
    """RAISES (ValueError): If two classifiers cannot have been trained from one start."""
    pair = f"'{first_name}' and '{name}'"
    tensors, other_tensors = first.tensors(), other.tensors()
    for part, what in FITTED.items():
        if not _same(_part(tensors, part), _part(other_tensors, part)):
            raise ValueError(
                f"{pair} have not the same {what}, which are fitted to the training texts, so "
                f"their weights have no mean. Take runs of one config and the same texts, or make "
                f"an ensemble."
            )
    facts, other_facts = _describe(first), _describe(other)
    for what, value in facts.items():
        if value != other_facts[what]:
            told = "" if len(str(value)) > 40 else f" ({value}, {other_facts[what]})"
            raise ValueError(
                f"{pair} have not the same {what}{told}, so their weights have no mean. Take runs "
                f"of one config that differ in the seed only, or make an ensemble."
            )
    differing = [n for n in first.frozen_names() if not _equal(tensors[n], other_tensors[n])]
    if differing:
        raise ValueError(
            f"{len(differing)} frozen tensors of {pair} differ, such as {differing[0]}: they do "
            f"not come from one encoder. Take runs with one start, or make an ensemble."
        )
    distance = _distance(_encoder(first), _encoder(other))
    if distance > MAX_DISTANCE:
        raise ValueError(
            f"The encoders of {pair} are apart by {distance:.2f} of their length; runs with one "
            f"start are apart by less than {MAX_DISTANCE}. Take runs with one start, or make an "
            f"ensemble."
        )


def _describe(shim: "TextCatShim") -> Dict[str, Any]:
    """What classifiers must have in common, by what it is called in messages."""
    encoder = shim.classifier.encoder
    assert encoder is not None
    return {
        "kind of encoder": encoder.model_type,
        "shape of the encoder": encoder.to_json(),
        "tokenizer": shim.reader.tokenizer.to_json(),
        "settings of model.encoder": shim.reader.reading,
        "frozen weights": shim.frozen_names(),
        "shapes of weights": {name: tuple(t.shape) for name, t in shim.tensors().items()},
    }


def _part(tensors: Dict[str, Tensor], part: str) -> Dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")}


def _same(a: Dict[str, Tensor], b: Dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)


def _equal(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b.to(a.device))


def _encoder(shim: "TextCatShim") -> Dict[str, Tensor]:
    return {n: t for n, t in _trained(shim).items() if not n.startswith("head.")}


def _distance(a: Dict[str, Tensor], b: Dict[str, Tensor]) -> float:
    """Distance of all tensors together, as a share of the length of the first."""
    apart = sum(float((a[name] - b[name].to(a[name].device)).square().sum()) for name in a)
    length = sum(float(tensor.square().sum()) for tensor in a.values())
    return (apart / length) ** 0.5 if length else 0.0

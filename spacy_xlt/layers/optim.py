"""From Thinc's optimizer, which the config describes, to the torch optimizer it stands for."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

import torch
from thinc.api import Optimizer
from torch import Tensor, nn

from ..optimizers import Adafactor, SGDMomentum
from .classifier import TextClassifier
from .pull import PullToStart
from .ranks import sum_gradients


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a rate and a weight decay.

    parameters (List[nn.Parameter]): The parameters.
    rate_factor (float): Their learning rate as a multiple of the optimizer's.
    decays (bool): Whether weight decay applies.
    """

    parameters: List[nn.Parameter]
    rate_factor: float
    decays: bool


def group_parameters(
    classifier: TextClassifier, *, rate_factor: float, head_factor: float, layer_decay: float
) -> List[ParameterGroup]:
    """Sort the trainable parameters of a classifier into groups.

    classifier (TextClassifier): The module; parameters without gradient are left out.
    rate_factor (float): Rate of everything as a multiple of the optimizer's.
    head_factor (float): Rate of the head as a multiple of the encoder's last layer's.
    layer_decay (float): Rate of a layer as a multiple of the rate of the layer above it.
    RETURNS (List[ParameterGroup]): Biases and LayerNorms are in groups without weight decay.
    """
    groups: Dict[Tuple[float, bool], List[nn.Parameter]] = {}
    for parameter, depth_factor in _with_factors(classifier, head_factor, layer_decay):
        if parameter.requires_grad:
            key = (rate_factor * depth_factor, parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return [ParameterGroup(params, factor, decays) for (factor, decays), params in groups.items()]


def _with_factors(
    classifier: TextClassifier, head_factor: float, layer_decay: float
) -> Iterable[Tuple[nn.Parameter, float]]:
    if classifier.encoder is not None:
        n_layers = classifier.encoder.n_layers
        for _, parameter, depth in classifier.encoder.named_depths():
            yield parameter, layer_decay ** (n_layers - depth)
    for parameter in classifier.head.parameters():
        yield parameter, head_factor


class TorchOptimizer:
    """Steps a torch optimizer with the hyper-parameters that Thinc's optimizer has right now.

    groups (List[ParameterGroup]): What to step.
    pull (Optional[PullToStart]): What draws some of them to where they started.
    """

    def __init__(self, groups: List[ParameterGroup], pull: Optional[PullToStart] = None):
        self._groups = groups
        self._pull = pull
        self._kind: Optional[str] = None
        self._torch: Optional[torch.optim.Optimizer] = None

    @property
    def kind(self) -> Optional[str]:
        """Which torch optimizer steps; None before the first step."""
        return self._kind

    @property
    def parameters(self) -> List[nn.Parameter]:
        return [parameter for group in self._groups for parameter in group.parameters]

    def regroup(self, groups: List[ParameterGroup]) -> None:
        """Replace the groups, keeping the state of parameters that stay."""
        self._groups = groups
        old = self._torch
        if old is None or self._kind is None:
            return
        self._torch = _BUILDERS[self._kind](_as_dicts(groups))
        for parameter in self.parameters:
            if parameter in old.state:
                self._torch.state[parameter] = old.state[parameter]

    def moments(self, parameter: nn.Parameter) -> Dict[str, Tensor]:
        """What is kept of a parameter from step to step, such as its moments."""
        kept = self._torch.state.get(parameter, {}) if self._torch is not None else {}
        return {key: value for key, value in kept.items() if isinstance(value, Tensor)}

    def restore(self, kind: str, moments: Mapping[nn.Parameter, Dict[str, Tensor]]) -> None:
        """Go on from what an optimizer of the same kind kept.

        RAISES (ValueError): If there is no such kind.
        """
        if kind not in _BUILDERS:
            raise ValueError(f"There is no optimizer '{kind}'. Allowed: {', '.join(_BUILDERS)}.")
        self._kind = kind
        self._torch = _BUILDERS[kind](_as_dicts(self._groups))
        kept = {i: moments[p] for i, p in enumerate(self.parameters) if p in moments}
        # Its own way of loading knows which of these belong on the device, and in what type.
        settings = self._torch.state_dict()["param_groups"]
        self._torch.load_state_dict({"state": kept, "param_groups": settings})

    def step(self, optimizer: Optimizer, weight: float) -> None:
        """Divide the summed gradients by a weight, clip their global norm, and update.

        Gradients are summed over all processes that train together, so the weight is that of the
        whole batch.

        optimizer (Optimizer): Thinc's optimizer, read anew at each step, so schedules work.
        weight (float): Total weight of the examples that the gradients were summed over.
        RAISES (ValueError): If no torch optimizer stands for it, or a gradient is not finite.
        """
        kind = kind_of_optimizer(optimizer)
        if kind != self._kind or self._torch is None:
            self._kind = kind
            self._torch = _BUILDERS[kind](_as_dicts(self._groups))
        sum_gradients(self.parameters)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            return
        scale_gradients(gradients, weight=weight, max_norm=float(optimizer.grad_clip or 0.0))
        for group, settings in zip(self._groups, self._torch.param_groups, strict=True):
            rate = float(optimizer.learn_rate) * group.rate_factor
            decay = float(optimizer.L2) if group.decays else 0.0
            _set_rates(settings, optimizer, kind, rate, decay)
            if kind in _DECAY_BY_HAND and optimizer.L2_is_weight_decay and decay:
                with torch.no_grad():
                    torch._foreach_mul_(list(group.parameters), 1.0 - rate * decay)
            if self._pull is not None:
                self._pull.step(group.parameters, rate)
        self._torch.step()
        self._torch.zero_grad(set_to_none=True)


def scale_gradients(gradients: List[Tensor], *, weight: float, max_norm: float) -> float:
    """Divide gradients by a weight and limit the norm of all of them together, in place.

    RETURNS (float): The norm after the division, before the limit.
    RAISES (ValueError): If the norm is not finite.
    """
    norms = torch._foreach_norm(gradients)
    norm = float(torch.linalg.vector_norm(torch.stack([n.float() for n in norms]))) / weight
    if not norm < float("inf"):
        raise ValueError(
            f"The gradient's norm is {norm}: training has diverged. Lower "
            f"training.optimizer.learn_rate (of distill: --learn-rate), or set precision = "
            f'"fp32" in the component\'s model.'
        )
    clip = max_norm / (norm + 1e-6) if max_norm > 0.0 else 1.0
    torch._foreach_mul_(gradients, min(1.0, clip) / weight)
    return norm


def kind_of_optimizer(optimizer: Optimizer) -> str:
    """Which torch optimizer stands for an optimizer of Thinc's.

    RAISES (ValueError): If none does.
    """
    if isinstance(optimizer, SGDMomentum):
        return "sgd"
    if isinstance(optimizer, Adafactor):
        return "adafactor"
    if type(optimizer) is Optimizer:
        if optimizer.use_radam:
            return "radam"
        if optimizer.b1 > 0.0 and optimizer.b2 > 0.0:
            return "adamw" if optimizer.L2_is_weight_decay else "adam"
        if optimizer.b1 == 0.0 and optimizer.b2 == 0.0:
            return "sgd"
    raise ValueError(
        f"xlt_textcat cannot train with {type(optimizer).__name__}"
        f"(beta1={getattr(optimizer, 'b1', None)}, beta2={getattr(optimizer, 'b2', None)}). "
        f"Allowed in [training.optimizer] are Adam.v1, RAdam.v1, SGD.v1, spacy_xlt.SGD.v1 and "
        f"spacy_xlt.Adafactor.v1."
    )


def _as_dicts(groups: List[ParameterGroup]) -> List[Dict[str, Any]]:
    return [{"params": group.parameters} for group in groups]


def _set_rates(
    settings: Dict[str, Any], optimizer: Optimizer, kind: str, rate: float, decay: float
) -> None:
    settings["lr"] = rate
    by_hand = kind in _DECAY_BY_HAND and optimizer.L2_is_weight_decay
    settings["weight_decay"] = 0.0 if by_hand else decay
    if kind in ("adam", "adamw", "radam"):
        settings["betas"] = (float(optimizer.b1), float(optimizer.b2))
        settings["eps"] = float(optimizer.eps)
    if kind == "radam":
        settings["decoupled_weight_decay"] = bool(optimizer.L2_is_weight_decay)
    if isinstance(optimizer, SGDMomentum):
        settings["momentum"] = optimizer.momentum
        settings["nesterov"] = optimizer.nesterov
    if isinstance(optimizer, Adafactor):
        settings["beta2_decay"] = optimizer.beta2_decay
        settings["d"] = optimizer.update_clip


def _fused(cls: Any) -> Callable[[List[Dict[str, Any]]], Any]:
    return lambda groups: cls(groups, lr=0.0, fused=True)


_BUILDERS: Dict[str, Callable[[List[Dict[str, Any]]], torch.optim.Optimizer]] = {
    "adam": _fused(torch.optim.Adam),
    "adamw": _fused(torch.optim.AdamW),
    "radam": lambda groups: torch.optim.RAdam(groups, lr=0.0),
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.0),
    "adafactor": lambda groups: torch.optim.Adafactor(groups, lr=0.0),
}
# Those whose torch version only knows a penalty in the gradient.
_DECAY_BY_HAND = ("sgd",)

"""Optimizers and schedules that configs name, beside those of Thinc.

Thinc's optimizer is the description of an optimizer that the config writes; the torch optimizer
it stands for is built from it in `layers/optim.py`.
"""

from typing import Any, Iterator, List, NoReturn, Tuple, Union

from thinc.api import Optimizer
from thinc.types import Generator

FloatOrSchedule = Union[float, List[float], Generator]


class TorchOnlyOptimizer(Optimizer):
    """An optimizer without an implementation for Thinc's own layers."""

    __slots__: Tuple[str, ...] = ()

    def __call__(self, key: Any, weights: Any, gradient: Any, *, lr_scale: float = 1.0) -> NoReturn:
        raise ValueError(
            f"{type(self).__name__} trains xlt_textcat components only, but the pipeline has "
            f"another trainable component. Use '@optimizers = \"Adam.v1\"' in "
            f"[training.optimizer], or list the other component in training.frozen_components."
        )


class SGDMomentum(TorchOnlyOptimizer):
    """Stochastic gradient descent with momentum."""

    __slots__ = ("momentum", "nesterov")
    momentum: float
    nesterov: bool


class Adafactor(TorchOnlyOptimizer):
    """Adafactor: second moments factored into rows and columns."""

    __slots__ = ("beta2_decay", "update_clip")
    beta2_decay: float
    update_clip: float


def create_sgd_v1(
    learn_rate: FloatOrSchedule,
    *,
    momentum: float = 0.9,
    nesterov: bool = False,
    L2: float = 0.0,
    L2_is_weight_decay: bool = True,
    grad_clip: float = 1.0,
) -> SGDMomentum:
    """SGD with momentum.

    learn_rate (float or schedule): Step size.
    momentum (float): Share of the last step that is kept, in [0, 1).
    nesterov (bool): Whether to look ahead along the momentum.
    L2 (float): Weight decay.
    L2_is_weight_decay (bool): Decay the weights directly rather than through the gradient.
    grad_clip (float): Largest norm of the whole gradient; 0 for no limit.
    RETURNS (SGDMomentum): The optimizer.
    """
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum is {momentum}; allowed is 0 up to, but not including, 1.")
    if nesterov and momentum == 0.0:
        raise ValueError("nesterov looks ahead along the momentum; set momentum above 0.")
    optimizer = SGDMomentum(
        learn_rate,
        beta1=0.0,
        beta2=0.0,
        L2=L2,
        L2_is_weight_decay=L2_is_weight_decay,
        grad_clip=grad_clip,
        use_averages=False,
    )
    optimizer.momentum = momentum
    optimizer.nesterov = nesterov
    return optimizer


def create_adafactor_v1(
    learn_rate: FloatOrSchedule,
    *,
    beta2_decay: float = -0.8,
    update_clip: float = 1.0,
    L2: float = 0.0,
    grad_clip: float = 0.0,
) -> Adafactor:
    """Adafactor, for encoders whose Adam moments do not fit in memory.

    learn_rate (float or schedule): Step size relative to the scale of each parameter.
    beta2_decay (float): Exponent with which the second moment's memory grows, 0 or less.
    update_clip (float): Largest root mean square of one update, 1 or more.
    L2 (float): Weight decay.
    grad_clip (float): Largest norm of the whole gradient; 0 for no limit.
    RETURNS (Adafactor): The optimizer.
    SOURCE: Shazeer and Stern (2018), https://arxiv.org/abs/1804.04235
    """
    if beta2_decay > 0.0:
        raise ValueError(f"beta2_decay is {beta2_decay}; allowed is 0 or less.")
    if update_clip < 1.0:
        raise ValueError(f"update_clip is {update_clip}; allowed is 1 or more.")
    optimizer = Adafactor(
        learn_rate,
        beta1=0.0,
        beta2=0.0,
        L2=L2,
        L2_is_weight_decay=True,
        grad_clip=grad_clip,
        use_averages=False,
    )
    optimizer.beta2_decay = beta2_decay
    optimizer.update_clip = update_clip
    return optimizer


def create_warmup_linear_v1(
    initial_rate: float,
    *,
    total_steps: Union[int, str],
    warmup: float = 0.1,
    min_warmup_steps: int = 0,
    final: float = 0.2,
) -> Iterator[float]:
    """Linear warm-up to a rate, then linear decay to a share of it.

    Unlike Thinc's `warmup_linear.v1`, the first rate is not zero and the last is not either.

    initial_rate (float): The highest rate, reached at the end of the warm-up.
    total_steps (Union[int, str]): Steps of the run, usually ${training.max_steps}; 0 if not known
        yet, which gives a constant rate. So does the variable itself: spaCy reads the optimizer's
        settings alone, without those of [training], in `nlp.resume_training()`.
    warmup (float): Share of the steps that warm up, in [0, 1).
    min_warmup_steps (int): Least number of steps that warm up. A run with fewer never gets to the
        highest rate, so that few labels move a trained model less than many.
    final (float): Rate of the last step as a share of the highest, in [0, 1].
    YIELDS (float): One rate a step; the last one for ever after.
    """
    if not 0.0 <= warmup < 1.0:
        raise ValueError(f"warmup is {warmup}; allowed is a share from 0 up to, but not with, 1.")
    if min_warmup_steps < 0:
        raise ValueError(f"min_warmup_steps is {min_warmup_steps}; allowed is 0 or more.")
    if not 0.0 <= final <= 1.0:
        raise ValueError(f"final is {final}; allowed is a share from 0 to 1.")
    if isinstance(total_steps, str):
        if not total_steps.startswith("${"):
            raise ValueError(f"total_steps is '{total_steps}'; allowed is a number of steps.")
        total_steps = 0
    # The checks run when the config is resolved, not at the first step.
    warmup_steps = max(round(total_steps * warmup), min_warmup_steps)
    return _warmup_linear(initial_rate, total_steps, warmup_steps, final)


def _warmup_linear(
    initial_rate: float, total_steps: int, warmup_steps: int, final: float
) -> Iterator[float]:
    decay_steps = max(1, total_steps - warmup_steps)
    step = 0
    while True:
        if step < warmup_steps:
            yield initial_rate * (step + 1) / (warmup_steps + 1)
        elif total_steps == 0:
            yield initial_rate
        else:
            done = min(1.0, (step - warmup_steps) / decay_steps)
            yield initial_rate * (1.0 - (1.0 - final) * done)
        step += 1

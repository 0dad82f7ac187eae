"""Steps on a classifier's weights, and the averages of them that predict in their place."""

import warnings
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple

import torch
from thinc.api import Optimizer
from torch import Tensor

from .averaging import RunningMean, interpolate
from .classifier import TextClassifier
from .optim import ParameterGroup, TorchOptimizer, group_parameters
from .pull import PullToStart
from .training_state import TrainingState

if TYPE_CHECKING:
    from .shim import ClassifierSettings

# Above this the encoder forgets what it knew within a few steps.
RISKY_RATE = 5e-4


class TrainingSteps:
    """Trains the weights of a classifier, as far as they are not frozen.

    classifier (TextClassifier): The classifier. Gradients are those of its parameters.
    settings (ClassifierSettings): Rates, unfreezing, and what is averaged.
    n_steps (int): Steps that were taken before.
    """

    def __init__(
        self, classifier: TextClassifier, settings: "ClassifierSettings", *, n_steps: int = 0
    ):
        self.n_steps = n_steps
        self._classifier = classifier
        self._settings = settings
        self._optimizer: Optional[TorchOptimizer] = None
        self._mean: Optional[RunningMean] = None
        # What is trained as it was before the first step, where prediction counts it.
        self._start: Dict[str, Tensor] = {}
        self._pull: Optional[PullToStart] = None
        self._has_warned = False

    @property
    def n_averaged(self) -> int:
        """Steps in the running mean."""
        return 0 if self._mean is None else self._mean.n_steps

    # -- steps ------------------------------------------------------------------------------

    def step(self, optimizer: Optimizer, *, weight: float, run_length: int) -> None:
        """Step with the gradients seen since the last step.

        optimizer (Optimizer): Thinc's optimizer.
        weight (float): Total weight of the examples that the gradients were summed over.
        run_length (int): How many steps the run has; 0 where unknown, and nothing is averaged.
        """
        self._warn_of_rate(optimizer)
        if self._settings.start_share > 0.0 and not self._start:
            self._start = {name: p.detach().clone() for name, p in self._trainable()}
        if self._optimizer is None:
            self._optimizer = self._make_optimizer()
        for parameter in self._resting(run_length):
            parameter.grad = None
        self._optimizer.step(optimizer, weight)
        self.n_steps += 1
        if run_length and self.n_steps > (1.0 - self._settings.average_last) * run_length:
            if self._mean is None:
                self._mean = RunningMean(dict(self._trainable()))
            self._mean.update()

    def regroup(self) -> None:
        """Go on after parameters were replaced; what is known of others stays."""
        if self._optimizer is not None:
            self._optimizer.regroup(self._groups())

    def _trainable(self) -> Iterator[Tuple[str, Any]]:
        return ((n, p) for n, p in self._classifier.named_parameters() if p.requires_grad)

    def _make_optimizer(self) -> TorchOptimizer:
        return TorchOptimizer(self._groups(), self._remember_start())

    def _remember_start(self) -> Optional[PullToStart]:
        """What draws the encoder to its weights of the first call, if anything does."""
        strength, encoder = self._settings.robust.pull_to_start, self._classifier.encoder
        if self._pull is None and strength > 0.0 and encoder is not None:
            trained = [p for p in encoder.parameters() if p.requires_grad]
            self._pull = PullToStart(trained, strength)
        return self._pull

    def _groups(self) -> List[ParameterGroup]:
        return group_parameters(
            self._classifier,
            rate_factor=self._settings.rate_factor,
            head_factor=self._settings.head_rate_factor,
            layer_decay=self._settings.layer_decay,
        )

    def _resting(self, run_length: int) -> List[Any]:
        """Parameters whose turn has not come in gradual unfreezing."""
        n_steps, encoder = self._settings.unfreeze * run_length, self._classifier.encoder
        if encoder is None or self.n_steps >= n_steps:
            return []
        n_resting = encoder.n_layers * (1.0 - self.n_steps / n_steps)
        return [p for _, p, depth in encoder.named_depths() if depth <= n_resting]

    def _warn_of_rate(self, optimizer: Optimizer) -> None:
        rate = float(optimizer.learn_rate) * self._settings.rate_factor
        trains_encoder = self._classifier.encoder is not None and self._settings.freeze != "encoder"
        # An adapter wants higher rates.
        trains_encoder = trains_encoder and self._settings.adapter is None
        if trains_encoder and rate > RISKY_RATE and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"The encoder trains at a learning rate of {rate:g}; above {RISKY_RATE:g} it "
                f"usually forgets what it knew. Set training.optimizer.learn_rate (of distill: "
                f"--learn-rate) to about 5e-5, or rate_factor in the component's model where other "
                f"components need the rate.",
                stacklevel=2,
            )

    # -- averages ---------------------------------------------------------------------------

    def averages(self) -> Dict[str, Tensor]:
        """Weights to predict with in place of the trained ones: averaged over the run, and with
        those that it started from. None where neither is asked for."""
        means = self._means()
        if not self._start:
            return means
        end = {name: means.get(name, p.detach()) for name, p in self._trainable()}
        return interpolate(self._start, end, self._settings.start_share)

    def settle(self) -> None:
        """Make the averages the weights to go on from, and average anew."""
        set_weights(self._classifier, self.averages())
        self._mean, self._start = None, {}

    def _means(self) -> Dict[str, Tensor]:
        return self._mean.means if self._mean is not None else {}

    # -- going on ---------------------------------------------------------------------------

    def for_copy(self, classifier: TextClassifier) -> "TrainingSteps":
        """Steps of a copy, which goes on with an optimizer and averages of its own.

        classifier (TextClassifier): Has the weights that this one predicts with.
        """
        steps = TrainingSteps(classifier, self._settings, n_steps=self.n_steps)
        steps._has_warned = self._has_warned
        return steps

    def state(self) -> TrainingState:
        """What a run needs to go on from here. Its tensors are those of the classifier."""
        trained = dict(self._trainable())
        optimizer = self._optimizer
        return TrainingState(
            weights={name: p.detach() for name, p in trained.items()},
            means=self._means(),
            start=self._start,
            moments={n: optimizer.moments(p) for n, p in trained.items()} if optimizer else {},
            optimizer=optimizer.kind if optimizer else None,
            n_steps=self.n_steps,
            n_averaged=self.n_averaged,
        )

    @torch.no_grad()
    def restore(self, state: TrainingState) -> None:
        """Go on from a state.

        RAISES (ValueError): If it is that of another classifier.
        """
        trained = dict(self._trainable())
        shapes = {name: p.shape for name, p in trained.items()}
        for tensors in filter(None, (state.weights, state.means, state.start)):
            if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
                raise ValueError("The state to go on from is that of another classifier.")
        self._remember_start()
        for name, parameter in trained.items():
            parameter.copy_(state.weights[name])
        self._optimizer = None
        if state.optimizer is not None:
            self._optimizer = self._make_optimizer()
            moments = {trained[name]: kept for name, kept in state.moments.items()}
            self._optimizer.restore(state.optimizer, moments)
        self._mean = None
        if state.means:
            means = {name: state.means[name].to(p.device) for name, p in trained.items()}
            self._mean = RunningMean(trained, means, state.n_averaged)
        self._start = {
            name: tensor.to(trained[name].device) for name, tensor in state.start.items()
        }
        self.n_steps = state.n_steps


@torch.no_grad()
def set_weights(classifier: TextClassifier, tensors: Dict[str, Tensor]) -> None:
    """Give parameters of a classifier other values, by name."""
    for name, parameter in classifier.named_parameters():
        if name in tensors:
            parameter.copy_(tensors[name])

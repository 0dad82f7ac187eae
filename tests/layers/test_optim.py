"""Each optimizer that a config may name, against torch's own on the same gradients."""

import pytest
import tiny
import torch
from thinc.api import SGD, Adam, Optimizer, RAdam
from torch import nn

from spacy_xlt.layers.classifier import TextClassifier
from spacy_xlt.layers.encoder import Encoder
from spacy_xlt.layers.optim import (
    ParameterGroup,
    TorchOptimizer,
    group_parameters,
    scale_gradients,
)
from spacy_xlt.optimizers import create_adafactor_v1, create_sgd_v1, create_warmup_linear_v1

RATES = [0.1, 0.05, 0.02, 0.01, 0.01]


def make_classifier(freeze="none"):
    encoder = Encoder(tiny.make_transformer("bert", hidden_size=8, intermediate_size=12))
    classifier = TextClassifier(encoder, 8, 3, normalize=False)
    classifier.freeze(freeze)
    return classifier


def make_parameters():
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(4, 5)), nn.Parameter(torch.randn(5))]


def set_gradients(parameters, step, factor=1.0):
    torch.manual_seed(step + 1)
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter) * factor


def groups_of(parameters, rate_factor=1.0):
    matrix, bias = parameters
    return [
        ParameterGroup([matrix], rate_factor, decays=True),
        ParameterGroup([bias], rate_factor, decays=False),
    ]


def follow(thinc_optimizer, torch_optimizer, parameters, rates=RATES):
    """Train two copies of the same parameters with the same gradients."""
    ours = make_parameters()
    stepper = TorchOptimizer(groups_of(ours))
    for step, rate in enumerate(rates):
        thinc_optimizer.learn_rate = rate
        for group in torch_optimizer.param_groups:
            group["lr"] = rate
        set_gradients(ours, step)
        stepper.step(thinc_optimizer, 1.0)
        set_gradients(parameters, step)
        torch_optimizer.step()
        for a, b in zip(ours, parameters, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    assert (ours[0] - make_parameters()[0]).abs().max() > 0.01


def dicts(parameters, decay):
    matrix, bias = parameters
    return [{"params": [matrix], "weight_decay": decay}, {"params": [bias], "weight_decay": 0.0}]


COMMON = {"L2": 0.1, "grad_clip": 0.0}


def test_adam_with_weight_decay_is_adamw():
    settings = {"beta1": 0.8, "beta2": 0.95, "eps": 1e-4, "use_averages": False}
    parameters = make_parameters()
    reference = torch.optim.AdamW(dicts(parameters, 0.1), betas=(0.8, 0.95), eps=1e-4)
    follow(Adam(0.1, L2_is_weight_decay=True, **settings, **COMMON), reference, parameters)


def test_adam_with_a_penalty_is_adam():
    settings = {"beta1": 0.8, "beta2": 0.95, "eps": 1e-4, "use_averages": False}
    parameters = make_parameters()
    reference = torch.optim.Adam(dicts(parameters, 0.1), betas=(0.8, 0.95), eps=1e-4)
    follow(Adam(0.1, L2_is_weight_decay=False, **settings, **COMMON), reference, parameters)


@pytest.mark.parametrize("decoupled", [True, False])
def test_radam(decoupled):
    parameters = make_parameters()
    reference = torch.optim.RAdam(
        dicts(parameters, 0.1), betas=(0.9, 0.95), decoupled_weight_decay=decoupled
    )
    optimizer = RAdam(0.1, beta1=0.9, beta2=0.95, L2_is_weight_decay=decoupled, **COMMON)
    follow(optimizer, reference, parameters, rates=RATES * 3)


def test_sgd_with_a_penalty():
    parameters = make_parameters()
    reference = torch.optim.SGD(dicts(parameters, 0.1), lr=0.1)
    follow(SGD(0.1, L2_is_weight_decay=False, **COMMON), reference, parameters)


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_with_momentum(nesterov):
    parameters = make_parameters()
    reference = torch.optim.SGD(dicts(parameters, 0.1), lr=0.1, momentum=0.8, nesterov=nesterov)
    optimizer = create_sgd_v1(
        0.1, momentum=0.8, nesterov=nesterov, L2_is_weight_decay=False, **COMMON
    )
    follow(optimizer, reference, parameters)


@pytest.mark.parametrize("make", [SGD, create_sgd_v1])
def test_sgd_with_weight_decay(make):
    """torch has no such SGD: the weights shrink by rate times decay, then take plain SGD's step."""
    momentum = 0.0 if make is SGD else 0.9
    ours, wanted = make_parameters(), [p.detach().clone() for p in make_parameters()]
    velocity = [torch.zeros_like(p) for p in wanted]
    stepper = TorchOptimizer(groups_of(ours))
    optimizer = make(0.1, L2_is_weight_decay=True, **COMMON)
    for step in range(4):
        set_gradients(ours, step)
        for p, v, w, decay in zip(ours, velocity, wanted, (0.1, 0.0), strict=True):
            v.mul_(momentum).add_(p.grad)
            w.mul_(1 - 0.1 * decay).sub_(0.1 * v)
        stepper.step(optimizer, 1.0)
        for a, b in zip(ours, wanted, strict=True):
            torch.testing.assert_close(a.detach(), b, atol=1e-6, rtol=1e-5)


def test_adafactor():
    parameters = make_parameters()
    reference = torch.optim.Adafactor(dicts(parameters, 0.1), beta2_decay=-0.7, d=1.5)
    optimizer = create_adafactor_v1(0.1, beta2_decay=-0.7, update_clip=1.5, L2=0.1)
    follow(optimizer, reference, parameters)


def test_schedules_are_read_at_each_step():
    rates = create_warmup_linear_v1(0.1, total_steps=8, warmup=0.25, final=0.5)
    optimizer = Adam(rates, L2=0.0, grad_clip=0.0, use_averages=False)
    ours, parameters = make_parameters(), make_parameters()
    stepper, reference = TorchOptimizer(groups_of(ours)), torch.optim.Adam(parameters)
    for step, rate in enumerate([0.1 / 3, 0.2 / 3, 0.1, 0.1 - 0.05 / 6]):
        set_gradients(ours, step)
        stepper.step(optimizer, 1.0)
        optimizer.step_schedules()
        set_gradients(parameters, step)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        torch.testing.assert_close(ours[0], parameters[0], atol=1e-6, rtol=1e-5)


def test_the_clip_is_of_the_whole_gradient_after_the_division():
    ours, parameters = make_parameters(), make_parameters()
    stepper = TorchOptimizer(groups_of(ours))
    set_gradients(ours, 0, factor=8.0)
    set_gradients(parameters, 0, factor=2.0)
    norm = nn.utils.clip_grad_norm_(parameters, 1.5)
    assert norm > 1.5
    stepper.step(SGD(1.0, grad_clip=1.5, L2=0.0), 4.0)
    for a, b, start in zip(ours, parameters, make_parameters(), strict=True):
        torch.testing.assert_close(a.detach(), start.detach() - b.grad, atol=1e-5, rtol=1e-5)


def test_scaling_of_gradients():
    gradients = [torch.full((4,), 3.0), torch.full((9,), 4.0)]
    norm = (4 * 9.0 + 9 * 16.0) ** 0.5
    assert scale_gradients(gradients, weight=2.0, max_norm=0.0) == pytest.approx(norm / 2)
    torch.testing.assert_close(gradients[0], torch.full((4,), 1.5))
    scale_gradients(gradients, weight=1.0, max_norm=100.0)
    torch.testing.assert_close(gradients[0], torch.full((4,), 1.5))
    scale_gradients(gradients, weight=1.0, max_norm=1.0)
    assert float(torch.cat(gradients).norm()) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_diverged_gradient_is_an_error_and_changes_nothing(value):
    parameters = make_parameters()
    set_gradients(parameters, 0)
    parameters[0].grad[1, 2] = value
    with pytest.raises(ValueError, match=r"norm is (nan|inf): training has diverged.*learn_rate"):
        TorchOptimizer(groups_of(parameters)).step(Adam(0.1), 1.0)
    for a, b in zip(parameters, make_parameters(), strict=True):
        assert (a == b).all()


def test_gradients_are_gone_after_a_step_and_without_any_nothing_happens():
    parameters = make_parameters()
    stepper = TorchOptimizer(groups_of(parameters))
    stepper.step(Adam(0.1), 1.0)
    assert (parameters[0] == make_parameters()[0]).all()
    set_gradients(parameters, 0)
    stepper.step(Adam(0.1), 1.0)
    assert all(p.grad is None for p in parameters)


class Strange(Optimizer):
    pass


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        (Strange(0.1), r"Strange\(beta1=0\.9"),
        (Adam(0.1, beta1=0.0), r"Optimizer\(beta1=0\.0, beta2=0\.999"),
    ],
)
def test_optimizers_without_a_counterpart_are_refused(optimizer, name):
    parameters = make_parameters()
    set_gradients(parameters, 0)
    with pytest.raises(ValueError, match=rf"cannot train with {name}.*Allowed.*spacy_xlt\.SGD\.v1"):
        TorchOptimizer(groups_of(parameters)).step(optimizer, 1.0)


# -- groups ---------------------------------------------------------------------------------


def factors(classifier, **settings):
    """(rate factor, decays) of each trainable parameter by name."""
    settings = {"rate_factor": 1.0, "head_factor": 1.0, "layer_decay": 1.0, **settings}
    names = {id(p): name for name, p in classifier.named_parameters()}
    return {
        names[id(p)]: (group.rate_factor, group.decays)
        for group in group_parameters(classifier, **settings)
        for p in group.parameters
    }


def test_every_trainable_parameter_is_in_one_group():
    classifier = make_classifier()
    groups = group_parameters(classifier, rate_factor=1.0, head_factor=2.0, layer_decay=0.5)
    found = [id(p) for group in groups for p in group.parameters]
    assert sorted(found) == sorted(id(p) for p in classifier.parameters())


def test_biases_and_layer_norms_do_not_decay():
    for name, (_, decays) in factors(make_classifier()).items():
        is_matrix = name.endswith("weight") and "LayerNorm" not in name
        assert decays == is_matrix, name


def test_rates_by_layer_and_head():
    found = factors(make_classifier(), rate_factor=0.5, head_factor=3.0, layer_decay=0.8)
    layer = "encoder.transformer.encoder.layer.{}.output.dense.weight"
    table = "encoder.transformer.embeddings.word_embeddings.weight"
    assert found["head.weight"][0] == found["head.bias"][0] == pytest.approx(1.5)
    assert found[layer.format(1)][0] == pytest.approx(0.5)
    assert found[layer.format(0)][0] == pytest.approx(0.4)
    assert found[table][0] == pytest.approx(0.32)


@pytest.mark.parametrize("freeze", ["embeddings", 1, "encoder"])
def test_frozen_parameters_have_neither_group_nor_state(freeze):
    classifier = make_classifier(freeze)
    groups = group_parameters(classifier, rate_factor=1.0, head_factor=1.0, layer_decay=1.0)
    stepper = TorchOptimizer(groups)
    set_gradients(stepper.parameters, 0)
    stepper.step(Adam(0.01), 1.0)
    trainable = {id(p) for p in classifier.parameters() if p.requires_grad}
    assert {id(p) for p in stepper.parameters} == trainable
    assert {id(p) for p in stepper._torch.state} == trainable
    assert len(trainable) < len(list(classifier.parameters()))


def test_new_groups_keep_the_state_of_parameters_that_stay():
    matrix, bias = make_parameters()
    stepper = TorchOptimizer(groups_of([matrix, bias]))
    set_gradients([matrix, bias], 0)
    stepper.step(Adam(0.1, L2=0.0, grad_clip=0.0), 1.0)
    other = nn.Parameter(torch.zeros(7))
    stepper.regroup(groups_of([matrix, other]))
    reference = make_parameters()[0]
    plain = torch.optim.Adam([reference], lr=0.1)
    for step in range(2):
        set_gradients([reference], step)
        plain.step()
    set_gradients([matrix, other], 1)
    stepper.step(Adam(0.1, L2=0.0, grad_clip=0.0), 1.0)
    torch.testing.assert_close(matrix, reference, atol=1e-6, rtol=1e-5)
    assert other.abs().min() > 0.0

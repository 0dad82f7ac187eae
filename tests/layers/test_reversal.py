import math

import pytest
import torch
from torch.nn import functional as F

from spacy_xlt.layers.reversal import LanguageCritic
from spacy_xlt.types import RobustSettings

LANGS = ["en", "sw", "zh"]


def make_critic(weight=0.5):
    critic = LanguageCritic(LANGS, 4, weight, torch.device("cpu"))
    torch.manual_seed(0)
    for parameter in critic._linear.parameters():
        torch.nn.init.normal_(parameter)
    return critic


def pooled_vectors():
    torch.manual_seed(1)
    return torch.randn(4, 4, requires_grad=True)


def test_the_critic_learns_and_the_vectors_learn_the_opposite():
    critic, pooled = make_critic(), pooled_vectors()
    loss = critic.loss(pooled, ["sw", "en", "", "en"], 1.0)
    loss.backward()
    plain = pooled.detach()[[0, 1, 3]].requires_grad_()
    weight, bias = (p.detach().clone().requires_grad_() for p in critic._linear.parameters())
    wanted = F.cross_entropy(plain @ weight.T + bias, torch.tensor([1, 0, 0]), reduction="sum")
    wanted.backward()
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()))
    strength = 0.5 * math.tanh(5.0)  # the schedule at the end, by another formula
    torch.testing.assert_close(pooled.grad[[0, 1, 3]], -strength * plain.grad)
    assert pooled.grad[2].tolist() == [0.0] * 4  # its language is unknown
    torch.testing.assert_close(critic._linear.weight.grad, weight.grad)
    torch.testing.assert_close(critic._linear.bias.grad, bias.grad)


def test_the_encoder_learns_nothing_of_it_at_first():
    critic, pooled = make_critic(), pooled_vectors()
    critic.loss(pooled, LANGS + ["en"], 0.0).backward()
    assert not pooled.grad.any() and critic._linear.weight.grad.any()


def test_no_language_is_known():
    critic, pooled = make_critic(), pooled_vectors()
    loss = critic.loss(pooled, ["", "xx", "", ""], 1.0)
    loss.backward()
    assert float(loss.detach()) == 0.0 and not pooled.grad.any()


def test_steps_make_it_better():
    critic, pooled = LanguageCritic(LANGS, 4, 1.0, torch.device("cpu")), pooled_vectors().detach()
    losses = []
    for _ in range(200):
        loss = critic.loss(pooled, LANGS + ["en"], 1.0)
        loss.backward()
        critic.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(4.0 * math.log(3)) and losses[-1] < 0.8 * losses[0]


def test_languages_are_needed(make_shim):
    shim = make_shim(robust=RobustSettings(language_reversal=1.0))
    shim.langs = ["en"]
    with pytest.raises(ValueError, match=r"language_reversal is 1\.0, but.*\['en'\].*at least 2"):
        shim.begin_update(["pizza"], ["en"])

import math

import numpy
import pytest
import torch

from spacy_xlt.layers.contrast import contrast_loss


def one_hot(labels, n_labels=3):
    return torch.eye(n_labels)[labels]


def reference(vectors, labels, weights, temperature):
    """Equation 2 of the paper, one document at a time."""
    z = vectors / vectors.norm(dim=1, keepdim=True)
    total = 0.0
    for i, label in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i]
        partners = [j for j in others if labels[j] == label]
        scores = {j: float(z[i] @ z[j]) / temperature for j in others}
        log_sum = math.log(sum(math.exp(score) for score in scores.values()))
        if partners:
            mean = sum(scores[j] - log_sum for j in partners) / len(partners)
            total -= float(weights[i]) * mean
    return total


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_it_is_the_equation(temperature):
    torch.manual_seed(0)
    vectors, labels, weights = torch.randn(6, 5), [0, 0, 1, 1, 1, 2], torch.rand(6)
    found = contrast_loss(vectors, one_hot(labels), weights, temperature=temperature)
    assert found.item() == pytest.approx(reference(vectors, labels, weights, temperature), rel=1e-4)


def test_its_gradient_is_right():
    torch.manual_seed(0)
    vectors = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1.0, 0.0], [0.7, 0.3], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0], dtype=torch.float64)

    def loss(vectors):
        return contrast_loss(vectors, targets, weights, temperature=0.5)

    assert torch.autograd.gradcheck(loss, (vectors,))


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
def test_documents_without_partners_count_nothing(labels):
    vectors = torch.randn(len(labels), 4, requires_grad=True)
    loss = contrast_loss(vectors, one_hot(labels), torch.ones(len(labels)), temperature=0.1)
    loss.backward()
    assert loss.item() == 0.0 and float(vectors.grad.abs().max()) == 0.0


def test_vectors_of_length_0_do_not_harm():
    vectors = torch.zeros(3, 4, requires_grad=True)
    loss = contrast_loss(vectors, one_hot([0, 0, 1]), torch.ones(3), temperature=0.1)
    loss.backward()
    assert numpy.isfinite(loss.item()) and bool(torch.isfinite(vectors.grad).all())

import pytest
import torch

from spacy_xlt.layers.adversary import Adversary

DOCS = [torch.tensor([0, 0, 2]), torch.tensor([2, 1])]


@pytest.fixture
def parts():
    torch.manual_seed(0)
    return [torch.randn(3, 4), torch.randn(2, 4)]


def moves(adversary, parts, loss):
    """What is added to inputs of a second pass that are those of the first."""
    watched = [adversary.watch(x.clone(), docs) for x, docs in zip(parts, DOCS, strict=True)]
    loss(*watched).backward()
    return [adversary.move(x, docs) - x for x, docs in zip(parts, DOCS, strict=True)]


def rows_of(parts, doc):
    """All vectors of a document as one."""
    return torch.cat([x[docs == doc] for x, docs in zip(parts, DOCS, strict=True)]).flatten()


def test_a_document_moves_its_share_along_its_gradient(parts):
    factors = [torch.rand(3, 4), torch.rand(2, 4)]
    found = moves(
        Adversary(0.1), parts, lambda a, b: (a * factors[0]).sum() + (b * factors[1]).sum()
    )
    for doc in range(3):
        move, gradient = rows_of(found, doc), rows_of(factors, doc)
        assert float(move.norm()) == pytest.approx(
            0.1 * float(rows_of(parts, doc).norm()), rel=1e-4
        )
        assert float(torch.cosine_similarity(move, gradient, dim=0)) == pytest.approx(1.0, abs=1e-5)


def test_a_document_without_a_gradient_stays(parts):
    first, second = moves(Adversary(0.1), parts, lambda a, b: a[0].sum())
    assert float(first[0].norm()) > 0.0
    assert float(first[1:].norm()) == float(second.norm()) == 0.0


def test_inputs_that_come_from_trained_weights(parts):
    weight = torch.ones(4, requires_grad=True)
    adversary = Adversary(0.1)
    x = adversary.watch(parts[0] * weight, DOCS[0])
    x.sum().backward()
    moved = adversary.move(parts[0], DOCS[0])
    assert not moved.requires_grad and (moved > parts[0]).all()
    assert torch.equal(weight.grad, parts[0].sum(dim=0))

"""A loss that draws vectors of documents with the same label together."""

import torch
from torch import Tensor, nn


def contrast_loss(
    vectors: Tensor, targets: Tensor, weights: Tensor, *, temperature: float
) -> Tensor:
    """Summed supervised contrastive loss: each document's partners among all others of a batch.

    vectors (Tensor): One vector per document; only its direction counts. Shape: (n_docs, width)
    targets (Tensor): Gold probabilities, 0 where unknown. Documents are partners by as much as
        their labels have in common. Shape: (n_docs, n_labels)
    weights (Tensor): What each document counts; one without partners counts nothing. Shape:
        (n_docs,)
    temperature (float): By what cosines are divided; low ones care for the nearest only.
    RETURNS (Tensor): The sum.
    SOURCE: Khosla et al. (2020), equation 2, https://arxiv.org/abs/2004.11362; with soft labels
        the mean over partners is a weighted one.
    """
    directions = nn.functional.normalize(vectors, dim=1)
    oneself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    scores = (directions @ directions.T / temperature).masked_fill(oneself, -1e9)
    partners = (targets @ targets.T).masked_fill(oneself, 0.0)
    shares = partners / partners.sum(dim=1, keepdim=True).clamp(min=1e-6)
    return -(weights * (shares * scores.log_softmax(dim=1)).sum(dim=1)).sum()

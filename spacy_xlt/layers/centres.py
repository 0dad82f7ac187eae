"""Takes off vectors of texts what they tell of their language."""

from typing import Sequence

import numpy
import torch
from torch import Tensor, nn

from .fixed import fixed


class LanguageCentres(nn.Module):
    """Mean vectors of languages, the nearest of which is taken off each vector.

    So texts about the same matter are near each other in whatever language they are, and a head
    fitted to one language serves others better. Nobody needs to say which language a text is in.

    means (Tensor): A parameter that nothing trains. Shape: (n_langs, width)
    SOURCE: Libovický et al. (2020, https://arxiv.org/abs/2004.05160), section 3, where the language
        of a text is known.
    """

    def __init__(self, n_langs: int, width: int):
        super().__init__()
        self.means = fixed(torch.zeros(n_langs, width))

    @classmethod
    def of_texts(cls, vectors: numpy.ndarray, langs: Sequence[str]) -> "LanguageCentres":
        """Know the languages of some texts. Shape of their vectors: (n_texts, width)"""
        tags = numpy.array(langs, dtype=object)
        means = [vectors[tags == lang].mean(axis=0) for lang in sorted(set(langs))]
        made = cls(len(means), vectors.shape[1])
        made.means = fixed(torch.from_numpy(numpy.stack(means)).float())
        return made

    def take_off(self, vectors: Tensor) -> Tensor:
        """Directions of vectors from the nearest mean; zero vectors, of no text, stay.

        vectors (Tensor): Shape: (n_docs, width)
        RETURNS (Tensor): Of unit length. Shape: (n_docs, width)
        """
        nearest = torch.cdist(vectors.detach(), self.means).argmin(dim=1)
        directions = nn.functional.normalize(vectors - self.means[nearest], dim=1)
        return torch.where(vectors.any(dim=1, keepdim=True), directions, vectors)

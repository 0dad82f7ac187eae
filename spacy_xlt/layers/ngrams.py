"""What the spelling of a text says about its labels: a linear model over character n-grams."""

import unicodedata
from typing import List, Optional, Sequence, Tuple

import numpy
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import lsqr
from scipy.special import expit, logit
from torch import Tensor, nn

from .fixed import fixed
from .losses import Loss
from .probe import fit_linear

# Lengths of n-grams, in characters.
LENGTHS = (2, 3, 4)
# N-grams are known by a hash of this many bits: of 100,000 some ten share theirs with another.
HASH_BITS = 30
# Inverse strength of the penalty on weights. On SIB-200's dev sets 3 and 30 hardly differ from it.
STRENGTH = 10.0
# Most weights, since the fit holds some twenty copies; the n-grams of most texts are kept.
MAX_WEIGHTS = 2**21
# Most characters that are fitted to; of more texts some are drawn.
MAX_CHARACTERS = 2**22
_SEED = 0
# Limit for L-BFGS. With 13,000 texts and 31 labels it would go on to 220, for nothing.
MAX_ITERATIONS = 120
# Ridge of the fit of shares, small against texts' length of 1, since languages are easily told.
LEAN_RIDGE = 0.1

# Odd numbers that characters are multiplied by.
_FACTORS = numpy.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], dtype="u8"
)
_MIXER = numpy.uint64(0xFF51AFD7ED558CCD)
_SPACE = ord(" ")
# By code; the last one is no space, and stands for all above it.
_IS_SPACE = numpy.array([chr(i).isspace() for i in range(0x3002)])


class CharacterNgrams(nn.Module):
    """Weights of the character n-grams of texts: of names, loans and figures, which languages
    share, and, where there are labels in them, of languages that the encoder hardly knows.

    All tensors are parameters that nothing trains, so they are stored and copied as such.

    hashes (Tensor): The n-grams that are known, ascending. Shape: (n_ngrams,)
    rarity (Tensor): What one of them counts in a text. Shape: (n_ngrams,)
    unseen (Tensor): The same of all others. Shape: (1,)
    weight, bias (Tensor): Shapes: (n_ngrams, n_labels), (n_labels,)
    lean (Tensor): What one of them adds to the log odds of what n-grams count. Shape: (n_ngrams,)
    known (Tensor): 1 for labels of which anything is known, else 0. Shape: (n_labels,)
    SOURCE: Logistic regression on TF-IDF with sublinear counts, as scikit-learn's
        LogisticRegression and TfidfVectorizer have it; but n-grams that no training text had count
        in the length of a text's vector, so that the less of it is known, the less is said.
    """

    def __init__(self, n_ngrams: int, n_labels: int):
        super().__init__()
        self.hashes = fixed(torch.zeros(n_ngrams, dtype=torch.int32))
        self.rarity = fixed(torch.zeros(n_ngrams))
        self.unseen = fixed(torch.zeros(1))
        self.weight = fixed(torch.zeros(n_ngrams, n_labels))
        self.bias = fixed(torch.zeros(n_labels))
        self.lean = fixed(torch.zeros(n_ngrams))
        self.known = fixed(torch.zeros(n_labels))

    @classmethod
    def of_texts(
        cls,
        texts: Sequence[str],
        targets: numpy.ndarray,
        known: numpy.ndarray,
        weights: numpy.ndarray,
        *,
        loss: Loss,
    ) -> "CharacterNgrams":
        """Fit to texts.

        targets, known, weights: As for `losses.cross_entropy`.
        loss (Loss): The loss that training uses.
        """
        rows = _draw_rows(texts)
        texts = [texts[i] for i in rows]
        targets, known, weights = targets[rows], known[rows], weights[rows]
        n_labels = targets.shape[1]
        counted = count_ngrams(texts)
        found, n_texts = numpy.unique(counted[1], return_counts=True)
        n_kept = max(1, MAX_WEIGHTS // n_labels)
        if len(found) > n_kept:
            kept = numpy.sort(numpy.argsort(-n_texts, kind="stable")[:n_kept])
            found, n_texts = found[kept], n_texts[kept]
        made = cls(len(found), n_labels)
        made.hashes = fixed(torch.from_numpy(found))
        made.rarity = fixed(_rarity(n_texts, len(texts)))
        made.unseen = fixed(_rarity(numpy.zeros(1), len(texts)))
        features = made._features(len(texts), *counted)
        weight, bias = fit_linear(
            features,
            targets,
            known,
            weights,
            loss=loss,
            C=STRENGTH,
            max_iterations=MAX_ITERATIONS,
        )
        made.weight = fixed(torch.from_numpy(weight.T.copy()).float())
        made.bias = fixed(torch.from_numpy(bias).float())
        made.known = fixed(torch.from_numpy(known.max(axis=0, initial=0.0) > 0.0).float())
        return made

    def select_labels(self, columns: Sequence[Optional[int]]) -> "CharacterNgrams":
        """The same n-grams with other labels; None is one of which nothing is known."""
        made = CharacterNgrams(len(self.hashes), len(columns))
        made.hashes, made.rarity, made.unseen = self.hashes, self.rarity, self.unseen
        made.lean = self.lean
        for new, old in enumerate(columns):
            if old is not None:
                made.weight[:, new] = self.weight[:, old]
                made.bias[new], made.known[new] = self.bias[old], self.known[old]
        return made

    def fit_shares(
        self, texts: Sequence[str], shares: numpy.ndarray, *, share: float
    ) -> "CharacterNgrams":
        """The same n-grams, which tell of a text what they should count in it: as much as in the
        texts with which it has most in common, so in those of its language.

        shares (numpy.ndarray): What they should count in texts that they were fitted to, between
            0 and 1. Shape: (n_texts,)
        share (float): What they count in a text of which nothing is known.
        """
        made = self.select_labels(range(len(self.bias)))
        features = self._features(len(texts), *count_ngrams(texts))
        lean = lsqr(features, logit(shares) - logit(share), damp=LEAN_RIDGE**0.5)[0]
        made.lean = fixed(torch.from_numpy(lean).float())
        return made

    def sway(self, logits: Tensor, texts: Sequence[str], *, share: float) -> Tensor:
        """Logits between those given and those of the n-grams.

        logits (Tensor): What a head says. Shape: (n_docs, n_labels)
        texts (Sequence[str]): The texts.
        share (float): What n-grams count, in [0, 1], where they do not tell it themselves;
            nothing for a label that is unknown.
        RETURNS (Tensor): Shape: (n_docs, n_labels)
        """
        features = self._features(len(texts), *count_ngrams(texts))
        shares = torch.from_numpy(self._shares(features, share)).to(logits)
        return torch.lerp(logits, self._logits(features).to(logits), shares[:, None] * self.known)

    def shares(self, texts: Sequence[str], *, share: float) -> numpy.ndarray:
        """What n-grams count in texts, between 0 and 1. Shape: (n_texts,)"""
        return self._shares(self._features(len(texts), *count_ngrams(texts)), share)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Logits of texts. Shape: (n_texts, n_labels)"""
        return self._logits(self._features(len(texts), *count_ngrams(texts)))

    def _logits(self, features: csr_matrix) -> Tensor:
        logits = features @ self.weight.numpy(force=True) + self.bias.numpy(force=True)
        return torch.from_numpy(logits)

    def _shares(self, features: csr_matrix, share: float) -> numpy.ndarray:
        return expit(logit(share) + features @ self.lean.numpy(force=True))

    def attribute(self, text: str, direction: numpy.ndarray) -> numpy.ndarray:
        """What each character of a text adds to a combination of the logits: that of each n-gram
        in equal parts to its characters other than spaces.

        direction (numpy.ndarray): What each logit counts in it. Shape: (n_labels,)
        RETURNS (numpy.ndarray): They sum to the combination, less that of the bias. Shape:
            (n_characters,)
        """
        counted = count_ngrams([text])
        features = self._features(1, *counted)
        worth = numpy.zeros(len(self.hashes))
        worth[features.indices] = features.data
        worth *= self.weight.numpy(force=True) @ direction
        worth[features.indices] /= counted[2][self._look_up(counted[1])[0]]
        codes, places = _read(text)
        added = numpy.zeros(len(text))
        for n in LENGTHS:
            is_known, columns = self._look_up(_hash_runs(codes, n))
            for start in numpy.flatnonzero(is_known):
                own = places[start : start + n][codes[start : start + n] != _SPACE]
                numpy.add.at(added, own, worth[columns[start]] / len(own))
        return added

    def _features(
        self, n_texts: int, rows: numpy.ndarray, hashes: numpy.ndarray, counts: numpy.ndarray
    ) -> csr_matrix:
        """Vectors of texts, of length 1 where all n-grams are known. Shape: (n_texts, n_ngrams)"""
        is_known, columns = self._look_up(hashes)
        rarity = numpy.full(len(hashes), float(self.unseen))
        rarity[is_known] = self.rarity.numpy(force=True)[columns[is_known]]
        values = rarity * (1.0 + numpy.log(counts))
        lengths = numpy.sqrt(numpy.bincount(rows, weights=values**2, minlength=n_texts))
        values = (values / lengths[rows])[is_known].astype("f")
        places = rows[is_known], columns[is_known]
        return csr_matrix((values, places), shape=(n_texts, len(self.hashes)))

    def _look_up(self, hashes: numpy.ndarray) -> Tuple[numpy.ndarray, numpy.ndarray]:
        """Whether n-grams are known, and the columns of those that are. Shapes: (n,), (n,)"""
        known = self.hashes.numpy(force=True)
        columns = numpy.searchsorted(known, hashes)
        is_known = columns < len(known)
        is_known[is_known] = known[columns[is_known]] == hashes[is_known]
        return is_known, columns


def count_ngrams(texts: Sequence[str]) -> Tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """The different character n-grams of texts, in small letters, with a space at both ends.

    RETURNS (Tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]): Row of the text, hash, and how
        often it is there. Shape of each: (n,)
    """
    read = [_read(text)[0] for text in texts]
    codes = numpy.concatenate([numpy.zeros(0, dtype="u8"), *read])
    rows = numpy.repeat(numpy.arange(len(read), dtype="u8"), list(map(len, read)))
    keys: List[numpy.ndarray] = []
    for n in LENGTHS:
        runs = _hash_runs(codes, n)
        first, last = rows[: len(runs)], rows[len(rows) - len(runs) :]
        # All texts at once; a run that ends in another text than it starts in is of neither.
        keys.append((runs.astype("u8") | (first << numpy.uint64(32)))[first == last])
    found, counts = numpy.unique(numpy.concatenate(keys), return_counts=True)
    hashes = (found & numpy.uint64(2**32 - 1)).astype("i4")
    return (found >> numpy.uint64(32)).astype("i8"), hashes, counts


def _hash_runs(codes: numpy.ndarray, n: int) -> numpy.ndarray:
    """Hashes of all runs of n characters. Shape: (n_characters - n + 1,)"""
    n_runs = max(len(codes) - n + 1, 0)
    mixed = numpy.full(n_runs, n, dtype="u8")
    for place, factor in enumerate(_FACTORS[:n]):
        mixed = (mixed ^ codes[place : place + n_runs]) * factor
        mixed ^= mixed >> numpy.uint64(29)
    return ((mixed * _MIXER) >> numpy.uint64(64 - HASH_BITS)).astype("i4")


def _read(text: str) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """Characters to make n-grams of, and the place in the text that each is from; -1 for a space
    that is put around it. A text without any has none."""
    if unicodedata.is_normalized("NFKC", text) and len(text.lower()) == len(text):
        plain, places = text.lower(), numpy.arange(len(text))
    else:
        plain, places = _simplify(text)
    codes = numpy.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype("u8")
    is_space = _IS_SPACE[numpy.minimum(codes, len(_IS_SPACE) - 1)]
    codes[is_space] = _SPACE
    read = numpy.flatnonzero(~is_space)
    if not read.size:
        return codes[:0], places[:0]
    kept = ~is_space
    kept[1:] |= ~is_space[:-1]  # the first of several spaces
    kept[read[-1] + 1 :] = False
    codes, places = codes[kept], places[kept]
    codes = numpy.concatenate([[numpy.uint64(_SPACE)], codes, [numpy.uint64(_SPACE)]])
    return codes, numpy.concatenate([[-1], places, [-1]])


def _simplify(text: str) -> Tuple[str, numpy.ndarray]:
    """Characters in one form and in small letters, and where each comes from."""
    parts: List[str] = []
    places: List[int] = []
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and unicodedata.combining(text[end]):
            continue
        part = unicodedata.normalize("NFKC", text[start:end]).lower()
        parts.append(part)
        places.extend([start] * len(part))
        start = end
    return "".join(parts), numpy.array(places, dtype="i8")


def _draw_rows(texts: Sequence[str]) -> numpy.ndarray:
    """Texts to fit to: all, or, of very many, as many as have the most characters."""
    order = numpy.random.default_rng(_SEED).permutation(len(texts))
    n_characters = numpy.cumsum([len(texts[i]) for i in order])
    n_kept = int(numpy.searchsorted(n_characters, MAX_CHARACTERS, side="right"))
    return numpy.sort(order[: max(1, n_kept)])


def _rarity(n_with: numpy.ndarray, n_texts: int) -> Tensor:
    """What an n-gram counts that so many of the texts have."""
    return torch.from_numpy(1.0 + numpy.log((1.0 + n_texts) / (1.0 + n_with))).float()

"""BLEU-1..4, ROUGE-L and CIDEr of captions, as pycocoevalcap computes them, without its tokenizer.

Texts are split at whitespace and compared with case and punctuation, as VLMEvalKit does. Papineni
et al., ACL 2002 (BLEU); Lin, 2004 (ROUGE-L); Vedantam et al., CVPR 2015 (CIDEr). Details that these
papers leave open follow pycocoevalcap and are described in each function.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

Ngram: TypeAlias = tuple[str, ...]
References: TypeAlias = tuple[str, ...]

_LONGEST = 4  # n-grams of 1..4 words, in BLEU and in CIDEr
_TINY, _SMALL = 1e-15, 1e-9  # pycocoevalcap adds these to BLEU's fractions to avoid zeros
_ROUGE_BETA = 1.2
_CIDER_SIGMA = 6.0


def ngrams(text: str) -> Counter[Ngram]:
    """How often each n-gram of 1 to 4 words occurs in a text."""
    words = text.split()
    return Counter(
        tuple(words[start : start + size])
        for size in range(1, _LONGEST + 1)
        for start in range(len(words) - size + 1)
    )


# --- BLEU -------------------------------------------------------------------------------------


def bleu(pairs: Iterable[tuple[str, References]]) -> tuple[float, float, float, float]:
    """Corpus BLEU-1..4, each 0..1. The reference length is the closest one, of two the shorter."""
    said_words = reference_words = 0
    right, possible = [0] * _LONGEST, [0] * _LONGEST
    for caption, references in pairs:
        length = len(caption.split())
        said_words += length
        closest = min((abs(len(text.split()) - length), len(text.split())) for text in references)
        reference_words += closest[1]
        allowed: Counter[Ngram] = Counter()
        for text in references:
            allowed |= ngrams(text)
        for ngram, count in ngrams(caption).items():
            right[len(ngram) - 1] += min(count, allowed[ngram])
        for size in range(_LONGEST):
            possible[size] += max(0, length - size)
    lengths = (said_words + _TINY) / (reference_words + _SMALL)
    brevity = math.exp(1 - 1 / lengths) if lengths < 1 else 1.0
    product, scores = 1.0, []
    for size in range(_LONGEST):
        product *= (right[size] + _TINY) / (possible[size] + _SMALL)
        scores.append(product ** (1 / (size + 1)) * brevity)
    return scores[0], scores[1], scores[2], scores[3]


# --- ROUGE-L ----------------------------------------------------------------------------------


def rouge_l(caption: str, references: References) -> float:
    """ROUGE-L of one caption, 0..1, from the best precision and the best recall.

    The two may come from different references. Words are separated by single spaces here, so that
    two spaces make an empty word.
    """
    said = caption.split(" ")
    precision = recall = 0.0
    for text in references:
        words = text.split(" ")
        common = _common_subsequence(said, words)
        precision = max(precision, common / len(said))
        recall = max(recall, common / len(words))
    if precision == 0 or recall == 0:
        return 0.0
    square = _ROUGE_BETA**2
    return (1 + square) * precision * recall / (recall + square * precision)


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, by one big integer per word (Hyyro, 2004)."""
    places: dict[str, int] = {}
    for index, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << index
    full = (1 << len(first)) - 1
    free = full
    for word in second:
        matches = free & places.get(word, 0)
        free = (free + matches | free - matches) & full
    return len(first) - free.bit_count()


# --- CIDEr ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Vector:
    """TF-IDF weights of a text's n-grams, a mapping and a norm for each n."""

    weights: tuple[dict[Ngram, float], ...]
    norms: tuple[float, ...]
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cider:
    """CIDEr against a corpus of references, with precomputed document frequencies.

    images: number of images in the corpus. frequency: for each n-gram the number of images whose
    references contain it.
    """

    images: int
    frequency: Counter[Ngram] = field(repr=False)

    def score(self, caption: str, references: References) -> float:
        """CIDEr of one caption, 0..10: mean over references and n of the clipped cosine."""
        said = self._vector(caption)
        total = 0.0
        for text in references:
            total += sum(_similarities(said, self._vector(text))) / _LONGEST
        return total / len(references) * 10

    def _vector(self, text: str) -> _Vector:
        weights: tuple[dict[Ngram, float], ...] = tuple({} for _ in range(_LONGEST))
        log_images = math.log(self.images)
        length = 0
        for ngram, count in ngrams(text).items():
            rarity = log_images - math.log(max(1.0, self.frequency[ngram]))
            weights[len(ngram) - 1][ngram] = count * rarity
            length += count if len(ngram) == 2 else 0  # the length is counted in word pairs
        norms = tuple(math.sqrt(sum(w * w for w in each.values())) for each in weights)
        return _Vector(weights, norms, length)


def _similarities(caption: _Vector, reference: _Vector) -> list[float]:
    """Per n: cosine, the caption's weights clipped to the reference's, times a length penalty."""
    penalty = math.exp(-((caption.length - reference.length) ** 2) / (2 * _CIDER_SIGMA**2))
    similarities = []
    for size in range(_LONGEST):
        theirs = reference.weights[size]
        product = sum(
            min(weight, theirs[ngram]) * theirs[ngram]
            for ngram, weight in caption.weights[size].items()
            if ngram in theirs
        )
        norm = caption.norms[size] * reference.norms[size]
        similarities.append((product / norm if norm else product) * penalty)
    return similarities


@lru_cache(maxsize=4)
def cider_of(corpus: tuple[References, ...]) -> Cider:
    """CIDEr with the document frequencies of a corpus, one tuple of references for each image.

    Cached, because counting takes seconds at COCO's size and every cell uses the same corpus.
    """
    frequency: Counter[Ngram] = Counter()
    for references in corpus:
        frequency.update({ngram for text in references for ngram in ngrams(text)})
    return Cider(images=len(corpus), frequency=frequency)

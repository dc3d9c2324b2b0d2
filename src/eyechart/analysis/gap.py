"""Why a VLM fails on compressed images: paper eq. 1.

    L(X, theta) - L(X^, theta) = [L(X, theta) - L(X^, theta*)] + [L(X^, theta*) - L(X^, theta)]
       performance gap         =       information gap         +      generalization gap

X is the image, X^ its reconstruction, theta the VLM, theta* the VLM fine-tuned on that codec. The
information gap is lost in the bitstream; the generalization gap is what an adapter can win back.
theta* stands for a maximum over all fine-tunings, so what is measured bounds: the information gap
from above, the generalization gap from below.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eyechart.analysis.bootstrap import interval
from eyechart.analysis.measure import Measured
from eyechart.analysis.result import GapResult
from eyechart.core.types import Component, Floats


def tuned_for(adapter: Component | None) -> str | None:
    """The one codec an adapter was trained on, uncompressed images aside; None if several."""
    compressed = [codec for codec in trained_codecs(adapter) if codec != "source"]
    return compressed[0] if len(compressed) == 1 else None


def trained_codecs(adapter: Component | None) -> tuple[str, ...]:
    """The codecs an adapter saw in training: its option `trained_codecs`, a list of names."""
    named = adapter.options.get("trained_codecs", ()) if adapter else ()
    if isinstance(named, str):
        return (named,)
    return tuple(map(str, named)) if isinstance(named, Sequence) else ()


def gap(
    *,
    vlm: str,
    task: str,
    codec: str,
    level: str,
    clean: Measured,
    compressed: Sequence[Measured],
    finetuned: Sequence[Measured],
) -> GapResult:
    """Eq. 1 of one level (one cell each), or of several levels' mean scores (`level` "").

    compressed, finetuned: the same levels of one codec, without and with theta*.
    """
    clean_score, clean_draws = clean.score, clean.score_draws
    before, before_draws = _mean(compressed)
    after, after_draws = _mean(finetuned)
    return GapResult(
        vlm=vlm,
        task=task,
        codec=codec,
        level=level,
        clean=clean_score,
        compressed=before,
        finetuned=after,
        performance=interval(clean_score - before, clean_draws - before_draws),
        information=interval(clean_score - after, clean_draws - after_draws),
        generalization=interval(after - before, after_draws - before_draws),
    )


def _mean(cells: Sequence[Measured]) -> tuple[float, Floats]:
    scores = float(np.mean([cell.score for cell in cells]))
    return scores, np.mean([cell.score_draws for cell in cells], axis=0)

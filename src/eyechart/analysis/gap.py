"""Decomposition of the loss on compressed images: paper eq. 1.

    L(X, theta) - L(X^, theta) = [L(X, theta) - L(X^, theta*)] + [L(X^, theta*) - L(X^, theta)]
       performance gap         =       information gap         +      generalization gap

X is the image, X^ its reconstruction, theta the VLM, theta* the VLM fine-tuned on that codec. The
information gap is lost in the bitstream; the generalization gap is what an adapter can recover.
theta* is a maximum over all fine-tunings, so the measured information gap is an upper bound and the
measured generalization gap a lower bound. An adapter for this codec alone gives the tightest
bounds; a run without one uses an adapter that was trained on several codecs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eyechart.analysis.bootstrap import interval
from eyechart.analysis.measure import Measured
from eyechart.analysis.result import GapResult
from eyechart.core.types import UNCOMPRESSED, Component, Floats


def trained_codecs(adapter: Component | None) -> tuple[str, ...]:
    """The codecs an adapter saw in training, from its option `trained_codecs`, without `source`."""
    named = adapter.options.get("trained_codecs", ()) if adapter else ()
    names = named if isinstance(named, Sequence) and not isinstance(named, str) else (named,)
    return tuple(str(name) for name in names if name != UNCOMPRESSED)


def best_tuned(codec: str, adapters: Mapping[str, Component | None]) -> str | None:
    """The adapter to use as theta*, by name: of those trained on this codec, the one trained on the
    fewest other codecs; None if there is none."""
    seen = {name: trained_codecs(adapter) for name, adapter in adapters.items()}
    fitting = [name for name, codecs in seen.items() if codec in codecs]
    return min(fitting, key=lambda name: len(seen[name]), default=None)


def gap(
    *,
    vlm: str,
    task: str,
    codec: str,
    level: str,
    adapter: str,
    uncompressed: Measured,
    compressed: Sequence[Measured],
    finetuned: Sequence[Measured],
) -> GapResult:
    """Eq. 1 of one level (one cell each), or of several levels' mean scores (`level` "").

    compressed, finetuned: the same levels of one codec, without and with theta*.
    """
    score, draws = uncompressed.score, uncompressed.score_draws
    before, before_draws = _mean(compressed)
    after, after_draws = _mean(finetuned)
    return GapResult(
        vlm=vlm,
        task=task,
        codec=codec,
        level=level,
        adapter=adapter,
        uncompressed=score,
        compressed=before,
        finetuned=after,
        performance=interval(score - before, draws - before_draws),
        information=interval(score - after, draws - after_draws),
        generalization=interval(after - before, after_draws - before_draws),
    )


def _mean(cells: Sequence[Measured]) -> tuple[float, Floats]:
    scores = float(np.mean([cell.score for cell in cells]))
    return scores, np.mean([cell.score_draws for cell in cells], axis=0)

"""Transforms of large images, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

MOST_LATENTS = 96 * 96  # of an image that is not tiled: 1536x1536 pixels
_TILE, _MARGIN = 64, 16  # 1024 and 256 pixels


def in_tiles(
    transform: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    takes: int,
    gives: int,
    most: int = MOST_LATENTS,
    tile: int = _TILE,
    margin: int = _MARGIN,
) -> Tensor:
    """A transform of large images of one size, tile by tile, so that memory stays bounded.

    takes, gives: side of the input and of the output of one latent element, in pixels. most: latent
    elements up to which there is one tile. tile, margin: sides in latent elements; what is computed
    in the margins around a tile is discarded. The tiles depend on the size alone, so encoder and
    decoder agree.
    """
    rows, columns = x.shape[2] // takes, x.shape[3] // takes
    if rows * columns <= most:
        return transform(x)
    whole: Tensor | None = None
    for top in range(0, rows, tile):
        for left in range(0, columns, tile):
            down = _span(top, rows, tile, margin)
            across = _span(left, columns, tile, margin)
            part = transform(x[:, :, _scaled(down.around, takes), _scaled(across.around, takes)])
            if whole is None:
                shape = (*part.shape[:2], rows * gives, columns * gives)
                whole = part.new_empty(shape)
            kept = part[:, :, _scaled(down.kept, gives), _scaled(across.kept, gives)]
            whole[:, :, _scaled(down.own, gives), _scaled(across.own, gives)] = kept
    assert whole is not None
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """One axis of a tile: its output range, its input range, and its position in the input."""

    own: slice
    around: slice
    kept: slice


def _span(start: int, length: int, tile: int, margin: int) -> _Span:
    stop = min(length, start + tile)
    first, last = max(0, start - margin), min(length, stop + margin)
    return _Span(
        own=slice(start, stop),
        around=slice(first, last),
        kept=slice(start - first, stop - first),
    )


def _scaled(span: slice, factor: int) -> slice:
    return slice(span.start * factor, span.stop * factor)

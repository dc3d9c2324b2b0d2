"""The prediction for large latents, tile by tile, blended where tiles overlap.

As in StableCodec: tiles of 96x96 latent elements (768x768 pixels) overlap by 32, and a prediction
counts by a normal density about its tile's centre whose deviation is a tenth of the tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from eyechart.core.errors import CodecError, InputError
from eyechart.core.memory import is_out_of_memory

TILE = 96
_OVERLAP = 1 / 3  # of a tile
_LEAST, _MULTIPLE = 16, 8  # the UNet halves its input three times
_VARIANCE = 0.01


def check_tile(tile: int, *, codec: str) -> int:
    """The side of a tile in latent elements, if it is allowed. Raises InputError."""
    if isinstance(tile, bool) or not isinstance(tile, int) or tile < _LEAST or tile % _MULTIPLE:
        allowed = f"multiples of {_MULTIPLE} from {_LEAST}"
        raise InputError(f"{codec}: tile is {tile!r}; allowed are {allowed}")
    return tile


def in_blended_tiles(
    predict: Callable[[Tensor], Tensor], x: Tensor, *, tile: int, codec: str
) -> Tensor:
    """A prediction of the size of `x` (batch, channels, height, width); whole if it is one tile.

    tile: side in latent elements. Tiles depend on the size of `x` alone.
    Raises:
        CodecError: a tile does not fit into the memory.
    """
    height, width = x.shape[2:]
    if height * width <= tile * tile:
        return _in_memory(predict, x, codec)
    sides = min(tile, height), min(tile, width)
    weights = torch.outer(_density(sides[0]), _density(sides[1])).to(x.device)
    total: Tensor | None = None
    shares = torch.zeros(height, width, device=x.device)
    for top in _starts(height, sides[0]):
        for left in _starts(width, sides[1]):
            rows, columns = slice(top, top + sides[0]), slice(left, left + sides[1])
            part = _in_memory(predict, x[:, :, rows, columns], codec).float()
            if total is None:
                total = part.new_zeros(*part.shape[:2], height, width)
            total[:, :, rows, columns] += part * weights
            shares[rows, columns] += weights
    assert total is not None
    return total / shares


def _starts(length: int, side: int) -> list[int]:
    step = side - int(side * _OVERLAP)
    return [*range(0, length - side, step), length - side]


def _density(side: int) -> Tensor:
    places = torch.arange(side) - (side - 1) / 2
    return torch.exp(-((places / side) ** 2) / (2 * _VARIANCE))


def _in_memory(predict: Callable[[Tensor], Tensor], x: Tensor, codec: str) -> Tensor:
    height, width = x.shape[2:]
    sides = f"{height}x{width} latent elements ({8 * height}x{8 * width} pixels)"
    with enough_memory(f"a tile of {sides} on {x.device}", codec=codec):
        return predict(x)


@contextmanager
def enough_memory(what: str, *, codec: str, tiles: bool = True) -> Iterator[None]:
    """Turn a lack of memory into one line.

    what: needs the memory. tiles: whether the codec has an option for smaller tiles.

    Raises:
        CodecError: the memory does not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        less = "half precision (precision=bfloat16)"
        if tiles:
            less = f"smaller tiles (option tile, multiples of {_MULTIPLE} from {_LEAST}) and {less}"
        raise CodecError(f"no memory for {what}; allowed are {less}", codec=codec) from error

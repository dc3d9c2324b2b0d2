"""Symbols to bytes and back: range coding with tables, all symbols of one scale in one call.

`constriction` takes an array of symbols with one table two to four times as fast as symbols with a
density each. The symbols of a part of the latent are therefore sorted by the index of their scale;
the decoder knows all scales of the part, and so the order. A symbol that its table does not hold is
coded as the table's last entry, and its value follows after the part, with equal probabilities.

Range coding is that of `constriction` (Bamler, arXiv 2201.01741).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from eyechart.codecs.learned.densities import (
    SYMBOL_MAX,
    Density,
    Indices,
    Symbols,
    conditional_table,
    reaches,
)
from eyechart.core.errors import CodecError

_queue, _model = constriction.stream.queue, constriction.stream.model
_WORD_BYTES, _WORD_BITS = 4, 32
_STATE_BYTES, _STATE_BITS = 8, 64
_ANY = _model.Uniform(2 * SYMBOL_MAX + 1)


class SymbolWriter:
    """Range codes symbols of one image."""

    def __init__(self) -> None:
        self._coder = _queue.RangeEncoder()

    def write(self, symbols: Symbols, table: Any) -> None:
        """symbols: (n,), whole numbers from 0 that a table of constriction has."""
        self._coder.encode(symbols, table)

    def write_conditional(self, symbols: Symbols, scales: Indices, density: Density) -> None:
        """symbols: (n,), -2047 to 2047, with the density of these scales (indices, 0 to 63)."""
        order, groups = _grouped(scales)
        reach = reaches(density)[scales[order]]
        ordered = symbols[order]
        outside = np.abs(ordered) > reach
        entries = np.where(outside, 2 * reach + 1, ordered + reach)
        for scale, group in groups:
            self._coder.encode(entries[group], conditional_table(density, scale))
        if outside.any():
            self._coder.encode(ordered[outside] + SYMBOL_MAX, _ANY)

    def finish(self) -> bytes:
        """The bytes; zeros at the end are left out, because a reader adds them.

        The last bytes may be any number in an interval. It is the one with most zeros at its end.
        """
        words: bytes = self._coder.get_compressed().astype(">u4").tobytes()
        position: tuple[int, tuple[int, int]] = self._coder.pos()
        count, (low, width) = position
        whole, last = words[: _WORD_BYTES * count], words[_WORD_BYTES * count :]
        point = int.from_bytes(last.ljust(_STATE_BYTES, b"\0"), "big")
        stop = low + width
        if point < low:  # the sum has carried into the words before, which are written with it
            low, stop = 0, stop - (1 << _STATE_BITS)
        stop = min(stop, 1 << _STATE_BITS)
        for zeros in range(_STATE_BITS, -1, -8):
            found = -(-low >> zeros) << zeros
            if low <= found < stop:
                return (whole + found.to_bytes(_STATE_BYTES, "big")).rstrip(b"\0")
        raise AssertionError("the interval of a range coder is never empty")


class SymbolReader:
    """Reads what a `SymbolWriter` has written. All methods raise CodecError for damaged bytes."""

    def __init__(self, data: bytes, *, codec: str) -> None:
        self._codec = codec
        words = np.frombuffer(data + b"\0" * (-len(data) % _WORD_BYTES), ">u4")
        self._coder = _queue.RangeDecoder(words.astype(np.uint32))

    def read(self, count: int, table: Any) -> Symbols:
        """(count,) symbols of a table."""
        try:
            symbols: Symbols = self._coder.decode(table, count)
        except (AssertionError, ValueError) as error:  # what constriction raises on damaged data
            raise CodecError("the payload is damaged (range decoder)", codec=self._codec) from error
        return symbols

    def read_conditional(self, scales: Indices, density: Density) -> Symbols:
        """(n,) symbols with the density of these scales."""
        order, groups = _grouped(scales)
        entries = np.empty(len(scales), np.int32)
        for scale, group in groups:
            table = conditional_table(density, scale)
            entries[group] = self.read(group.stop - group.start, table)
        reach = reaches(density)[scales[order]]
        outside = entries > 2 * reach
        ordered = entries - reach
        missing = int(outside.sum())
        if missing:
            ordered[outside] = self.read(missing, _ANY) - SYMBOL_MAX
        symbols = np.empty_like(ordered)
        symbols[order] = ordered
        return symbols


def _grouped(scales: Indices) -> tuple[npt.NDArray[np.intp], list[tuple[int, slice]]]:
    """The order that sorts by scale, equal ones as they come; each scale and its place in that."""
    order = np.argsort(scales, kind="stable")
    ends = np.cumsum(np.bincount(scales))
    groups = list(_slices(ends.tolist()))
    return order, groups


def _slices(ends: list[int]) -> Iterator[tuple[int, slice]]:
    start = 0
    for scale, end in enumerate(ends):
        if end > start:
            yield scale, slice(start, end)
        start = end

"""The range coder of the learned codecs beside a density for each symbol: seconds and bytes.

    python benchmarks/range_coding.py [--symbols 490000] [--tries 5]

Symbols are drawn from normal densities whose scales are those of a latent with few large ones. The
other way is constriction's `QuantizedGaussian` with an array of scales, as in version 1 of the
bitstream. Times are CPU seconds of one thread, the least of some tries; bytes are shown beside the
entropy of the symbols.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import constriction
import numpy as np
import torch

from eyechart.codecs.learned.densities import SCALES, SYMBOL_MAX
from eyechart.codecs.learned.entropy import gaussian_likelihood
from eyechart.codecs.learned.range_coder import SymbolReader, SymbolWriter

_queue = constriction.stream.queue
_density = constriction.stream.model.QuantizedGaussian(-SYMBOL_MAX, SYMBOL_MAX)
_T = TypeVar("_T")


def least(call: Callable[[], _T], tries: int) -> tuple[_T, float]:
    """The result of a call and its CPU milliseconds."""
    found = []
    for _ in range(tries):
        start_s = time.process_time()
        result = call()
        found.append(1000 * (time.process_time() - start_s))
    return result, min(found)


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--symbols", type=int, default=490_000)
    parser.add_argument("--tries", type=int, default=5)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    scales = np.clip(np.round(rng.normal(22, 12, given.symbols)), 0, 63).astype(np.uint8)
    stds = SCALES[scales]
    drawn = np.round(rng.normal(size=given.symbols) * stds)
    symbols = np.clip(drawn, -SYMBOL_MAX, SYMBOL_MAX).astype(np.int32)
    zeros = np.zeros_like(stds)

    def write() -> bytes:
        writer = SymbolWriter()
        writer.write_conditional(symbols, scales, "gaussian")
        return writer.finish()

    def write_each() -> np.ndarray:
        coder = _queue.RangeEncoder()
        coder.encode(symbols, _density, zeros, stds)
        words: np.ndarray = coder.get_compressed()
        return words

    data, encode_ms = least(write, given.tries)
    read, decode_ms = least(
        lambda: SymbolReader(data, codec="benchmark").read_conditional(scales, "gaussian"),
        given.tries,
    )
    words, encode_each_ms = least(write_each, given.tries)
    read_each, decode_each_ms = least(
        lambda: _queue.RangeDecoder(words).decode(_density, zeros, stds), given.tries
    )
    assert np.array_equal(read, symbols)
    assert np.array_equal(read_each, symbols)
    offsets, tensor = torch.tensor(symbols).double(), torch.tensor(stds)
    likely = gaussian_likelihood(offsets, tensor, torch.zeros_like(tensor), noise=False)
    entropy = float(-likely.log2().sum()) / 8
    print(f"{given.symbols:,} symbols, entropy {entropy:,.0f} bytes")
    print("| | encode ms | decode ms | bytes |\n| --- | ---: | ---: | ---: |")
    print(f"| a table for each scale | {encode_ms:.0f} | {decode_ms:.0f} | {len(data):,} |")
    each = f"{encode_each_ms:.0f} | {decode_each_ms:.0f} | {4 * len(words):,}"
    print(f"| a density for each symbol | {each} |")


if __name__ == "__main__":
    _main()

"""Symbols come back from bytes in any grouping; damaged bytes are an error or other symbols."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.codecs.learned.densities import (  # noqa: E402
    CONDITIONAL_STEP,
    SCALES,
    SYMBOL_MAX,
    Density,
    reaches,
)
from eyechart.codecs.learned.entropy import (  # noqa: E402
    gaussian_likelihood,
    logistic_likelihood,
)
from eyechart.codecs.learned.range_coder import SymbolReader, SymbolWriter  # noqa: E402
from eyechart.core.errors import CodecError  # noqa: E402

DENSITIES: tuple[Density, ...] = ("gaussian", "logistic")
LIKELIHOODS = {"gaussian": gaussian_likelihood, "logistic": logistic_likelihood}
parts = st.lists(
    st.tuples(
        st.sampled_from(DENSITIES),
        st.lists(st.tuples(st.integers(-SYMBOL_MAX, SYMBOL_MAX), st.integers(0, 63)), max_size=40),
    ),
    max_size=4,
)


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    symbols, scales = np.array(pairs, np.int32).reshape(-1, 2).T
    return symbols.copy(), scales.astype(np.uint8)


@given(parts=parts)
def test_any_symbols_come_back(parts: list[tuple[Density, list[tuple[int, int]]]]) -> None:
    """Most of these symbols are in no table."""
    writer = SymbolWriter()
    for density, pairs in parts:
        writer.write_conditional(*arrays(pairs), density)
    reader = SymbolReader(writer.finish(), codec="any")
    for density, pairs in parts:
        symbols, scales = arrays(pairs)
        assert np.array_equal(reader.read_conditional(scales, density), symbols)


@pytest.mark.parametrize("density", DENSITIES)
def test_bytes_are_as_many_as_the_likelihoods_say(density: Density) -> None:
    rng = np.random.default_rng(0)
    scales = rng.integers(0, 64, 20_000).astype(np.uint8)
    draw = rng.normal if density == "gaussian" else rng.logistic
    wanted = np.round(draw(size=len(scales)) * SCALES[scales])
    symbols = np.clip(wanted, -SYMBOL_MAX, SYMBOL_MAX).astype(np.int32)
    writer = SymbolWriter()
    writer.write_conditional(symbols, scales, density)
    offsets, stds = torch.tensor(symbols).double(), torch.tensor(SCALES[scales])
    likely = LIKELIHOODS[density](offsets, stds, torch.zeros_like(stds), noise=False)
    estimate = -likely.log2().sum().item() / 8
    assert len(writer.finish()) == pytest.approx(estimate, rel=1e-3)


@pytest.mark.parametrize("density", DENSITIES)
def test_tables_do_not_depend_on_the_last_digits_of_a_machine(density: Density) -> None:
    """No probability is near the middle of two steps: float64 errors are 1e-8 steps and less."""
    for scale, reach in enumerate(reaches(density)):
        symbols = torch.arange(int(reach) + 1, dtype=torch.float64)
        zeros = torch.zeros_like(symbols)
        steps = LIKELIHOODS[density](symbols, zeros + SCALES[scale], zeros, noise=False)
        assert ((steps / CONDITIONAL_STEP) % 1 - 0.5).abs().min() > 1e-6


def test_a_string_ends_with_the_fewest_bytes_that_decode() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        scales = rng.integers(0, 30, 12).astype(np.uint8)
        symbols = np.round(rng.normal(size=12) * SCALES[scales]).astype(np.int32)
        writer = SymbolWriter()
        writer.write_conditional(symbols, scales, "gaussian")
        data = writer.finish()
        for shorter in (data[:-1], _next(data[:-1])):
            reader = SymbolReader(shorter, codec="any")
            try:
                found = reader.read_conditional(scales, "gaussian")
            except CodecError:
                continue
            assert not np.array_equal(found, symbols)


def _next(data: bytes) -> bytes:
    """The number after that of these bytes."""
    return (int.from_bytes(data, "big") + 1).to_bytes(len(data) + 1, "big")[1:]


@given(data=st.binary(max_size=60), seed=st.integers(0, 99))
def test_noise_is_an_error_or_symbols_of_the_right_number(data: bytes, seed: int) -> None:
    scales = np.random.default_rng(seed).integers(0, 64, 200).astype(np.uint8)
    try:
        found = SymbolReader(data, codec="any").read_conditional(scales, "gaussian")
    except CodecError:
        return
    assert found.shape == scales.shape
    assert np.abs(found).max() <= SYMBOL_MAX

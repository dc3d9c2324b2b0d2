"""Damage to bytes, accidental (disks, networks, editors) and deliberate."""

from __future__ import annotations

from collections.abc import Callable
from random import Random


def _flip(data: bytearray, chance: Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, chance: Random) -> None:
    del data[chance.randrange(len(data)) :]


def _zeros(data: bytearray, chance: Random) -> None:
    start, end = _range(data, chance)
    data[start:end] = bytes(end - start)


def _noise(data: bytearray, chance: Random) -> None:
    start, end = _range(data, chance)
    data[start:end] = chance.randbytes(end - start)


def _insert(data: bytearray, chance: Random) -> None:
    place = chance.randrange(len(data))
    data[place:place] = chance.randbytes(chance.choice((1, 2, 100)))


def _remove(data: bytearray, chance: Random) -> None:
    start, end = _range(data, chance)
    del data[start:end]


def _repeat(data: bytearray, chance: Random) -> None:
    start, end = _range(data, chance)
    data[end:end] = data[start:end]


def _high(data: bytearray, chance: Random) -> None:
    """A field that holds the largest number: sizes and counts are such fields."""
    place = chance.randrange(min(len(data), 64) if chance.random() < 0.7 else len(data))
    width = chance.choice((1, 2, 4))
    data[place : place + width] = b"\xff" * width


def _replace(data: bytearray, chance: Random) -> None:
    data[:] = chance.randbytes(chance.choice((0, 1, 7, 200)))


DAMAGES: tuple[Callable[[bytearray, Random], None], ...] = (
    *(_flip, _flip, _flip, _cut, _zeros, _noise, _insert, _remove, _repeat, _high, _high),
    _replace,
)


def damaged(data: bytes, chance: Random) -> bytes:
    """Other bytes than `data`, which must not be empty."""
    while True:
        made = bytearray(data)
        chance.choice(DAMAGES)(made, chance)
        if made != data:
            return bytes(made)


def _range(data: bytearray, chance: Random) -> tuple[int, int]:
    start = chance.randrange(len(data))
    return start, min(len(data), start + chance.choice((1, 4, 16, 64, 512)))

"""The registered learned codecs: for each name its network, padding and levels."""

from __future__ import annotations

from pathlib import Path

import eyechart.zoo
from eyechart.codecs.checkpoints import Published
from eyechart.codecs.learned.elic import MINI, Elic
from eyechart.codecs.learned.neural import Architecture, NetworkCodec

_ZOO = Path(eyechart.zoo.__file__).parent / "codecs"

ELIC = Architecture(
    name="elic",
    build=Elic,
    multiple=64,
    padding="zeros",
    published=(
        Published(
            levels=("0.004", "0.008", "0.016", "0.032"),
            url="https://github.com/VincentChandelier/ELiC-ReImplemetation",
            licence="no licence stated",
        ),
    ),
)
ELIC_MINI = Architecture(
    name="elic-mini",
    build=lambda: Elic(MINI),
    multiple=16,
    padding="edge",
    shipped=_ZOO / "elic-mini",
)
ARCHITECTURES = {architecture.name: architecture for architecture in (ELIC, ELIC_MINI)}


class ElicCodec(NetworkCodec):
    """ELIC (arXiv 2203.10886) with checkpoints that the user brings."""

    def __init__(self, *, weights: str = "") -> None:
        super().__init__(ELIC, weights=weights)


class ElicMiniCodec(NetworkCodec):
    """A small ELIC whose weights ship with this package."""

    def __init__(self, *, weights: str = "") -> None:
        super().__init__(ELIC_MINI, weights=weights)

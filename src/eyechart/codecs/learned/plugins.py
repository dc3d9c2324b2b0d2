"""The registered learned codecs: for each name its network, padding and levels."""

from __future__ import annotations

from pathlib import Path

import eyechart.zoo
from eyechart.codecs.checkpoints import Published
from eyechart.codecs.learned import tic
from eyechart.codecs.learned.elic import MINI, Elic
from eyechart.codecs.learned.neural import Architecture, NetworkCodec
from eyechart.codecs.learned.tic import Tic

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
TIC = Architecture(name="tic", build=Tic, multiple=128, padding="centred zeros")
TIC_MINI = Architecture(name="tic-mini", build=lambda: Tic(tic.MINI), multiple=32, padding="edge")
ARCHITECTURES = {
    architecture.name: architecture for architecture in (ELIC, ELIC_MINI, TIC, TIC_MINI)
}


class ElicCodec(NetworkCodec):
    """ELIC (arXiv 2203.10886) with checkpoints that the user brings."""

    def __init__(self, *, weights: str = "") -> None:
        super().__init__(ELIC, weights=weights)


class TicCodec(NetworkCodec):
    """TIC (arXiv 2204.11448) with checkpoints that the user brings; none are published."""

    def __init__(self, *, weights: str = "") -> None:
        super().__init__(TIC, weights=weights)


class TicMiniCodec(NetworkCodec):
    """A small TIC; its weights are trained with `eyechart codec train tic-mini`."""

    def __init__(self, *, weights: str = "") -> None:
        super().__init__(TIC_MINI, weights=weights)


class ElicMiniCodec(NetworkCodec):
    """A small ELIC whose weights ship with this package."""

    def __init__(self, *, weights: str = "") -> None:
        super().__init__(ELIC_MINI, weights=weights)

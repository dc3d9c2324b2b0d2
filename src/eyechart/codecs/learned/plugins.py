"""The registered learned codecs: for each name its network, padding and levels."""

from __future__ import annotations

from pathlib import Path

import eyechart.zoo
from eyechart.codecs.checkpoints import PublishedCheckpoints
from eyechart.codecs.learned import mlicpp, tcm, transtic
from eyechart.codecs.learned.architecture import Architecture
from eyechart.codecs.learned.elic import MINI, Elic
from eyechart.codecs.learned.mlicpp import Mlicpp
from eyechart.codecs.learned.neural import NetworkCodec
from eyechart.codecs.learned.tcm import Tcm
from eyechart.codecs.learned.tic import Tic
from eyechart.codecs.learned.transtic import Transtic, TransticShape

_ZOO = Path(eyechart.zoo.__file__).parent / "codecs"

ELIC = Architecture(
    name="elic",
    build=Elic,
    multiple=64,
    padding="zeros",
    wide=True,
    published=(
        PublishedCheckpoints(
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
# The base of TransTIC, as in the paper's Table 6, and not TIC: it has no context, so it is fast.
TIC_MINI = Architecture(
    name="tic-mini",
    build=lambda: Transtic(transtic.MINI),
    multiple=64,
    padding="edge",
    shipped=_ZOO / "tic-mini",
)
TCM = Architecture(
    name="tcm",
    build=Tcm,
    multiple=128,
    padding="centred zeros",
    wide=True,
    published=(
        PublishedCheckpoints(
            levels=("0.0025",), url="https://github.com/jmliu206/LIC_TCM", licence="MIT License"
        ),
    ),
    unpublished=("0.0005", "0.001", "0.0018"),
    variant=lambda tensors: Tcm(tcm.shape_of(tensors)),
)
MLICPP = Architecture(
    name="mlicpp",
    build=Mlicpp,
    multiple=64,
    padding="zeros",
    wide=True,
    published=(
        PublishedCheckpoints(
            levels=("0.0018", "0.0035"),
            url="https://github.com/JiangWeibeta/MLIC",
            licence="Apache License 2.0",
        ),
    ),
    unpublished=("0.0004", "0.0009"),
    variant=lambda tensors: Mlicpp(mlicpp.shape_of(tensors)),
)
TRANSTIC = Architecture(
    name="transtic",
    build=Transtic,
    multiple=256,
    padding="edge",
    published=(
        PublishedCheckpoints(
            levels=("0.0018", "0.0035", "0.0067", "0.013"),
            url="https://github.com/NYCU-MAPL/TransTIC",
            licence="Apache License 2.0",
        ),
    ),
    variant=lambda tensors: Transtic(transtic.shape_of(tensors)),
    for_machines=lambda tensors: transtic.for_machines(tensors, TransticShape()),
    adapted_from="tic",
)
TRANSTIC_MINI = Architecture(
    name="transtic-mini",
    build=lambda: Transtic(transtic.MINI),
    multiple=64,
    padding="edge",
    shipped=_ZOO / "transtic-mini",
    variant=lambda tensors: Transtic(transtic.shape_of(tensors, transtic.MINI)),
    for_machines=lambda tensors: transtic.for_machines(tensors, transtic.MINI),
    adapted_from="tic-mini",
)
ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (ELIC, ELIC_MINI, TIC, TIC_MINI, TCM, MLICPP, TRANSTIC, TRANSTIC_MINI)
}


class ElicCodec(NetworkCodec):
    """ELIC (arXiv 2203.10886) with checkpoints of the user."""

    architecture = ELIC


class TicCodec(NetworkCodec):
    """TIC (arXiv 2204.11448) with checkpoints of the user; none are published."""

    architecture = TIC


class TicMiniCodec(NetworkCodec):
    """A small base codec of TransTIC, TIC without a context; its weights ship with this package."""

    architecture = TIC_MINI


class ElicMiniCodec(NetworkCodec):
    """A small ELIC whose weights ship with this package."""

    architecture = ELIC_MINI


class TcmCodec(NetworkCodec):
    """TCM (arXiv 2303.14978) with checkpoints of the user, N = 64 or 128."""

    architecture = TCM


class MlicppCodec(NetworkCodec):
    """MLIC++ (arXiv 2307.15421) with checkpoints of the user, of 2023 or of 2024."""

    architecture = MLICPP


class TransticCodec(NetworkCodec):
    """TransTIC (ICCV 2023) with checkpoints of the user, with prompts or without."""

    architecture = TRANSTIC


class TransticMiniCodec(NetworkCodec):
    """tic-mini with prompts for `eyechart-mini`'s vision encoder; its weights ship here."""

    architecture = TRANSTIC_MINI

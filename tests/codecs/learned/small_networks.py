"""Small networks of all architectures as codecs, with random weights whose latents hold something.

Classes of a module of their own, so that other processes can import them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from eyechart.codecs.learned.architecture import Architecture
from eyechart.codecs.learned.elic import MINI, Elic
from eyechart.codecs.learned.mlicpp import Mlicpp, MlicShape
from eyechart.codecs.learned.neural import NetworkCodec
from eyechart.codecs.learned.tcm import Tcm, TcmShape
from eyechart.codecs.learned.tic import Tic, TicShape
from eyechart.codecs.learned.transtic import Transtic, TransticShape
from eyechart.codecs.learned.weights import write_level

SMALL_TIC = TicShape(width=16, latent=32, depths=(1, 2, 0, 0, 0), heads=(2,) * 5, window=4)
SMALL_TCM = TcmShape(
    width=16, depth=2, head=(8, 8, 16), hyper_head=8, latent=40, hyper=16, context=(24, 16),
    attention=16, attention_head=8, window=4,
)  # fmt: skip
SMALL_MLICPP = MlicShape(
    width=16, latent=32, slices=4, head=8, parameters=(32, 24, 16), prediction=(24, 16),
    context=(24, 16),
)  # fmt: skip
SMALL_TRANSTIC = TransticShape(
    width=16, latent=24, depths=(2, 2, 1, 1, 1, 1), heads=(2, 2, 2, 4, 4, 4), window=4,
    encoder_prompts=True, decoder_prompts="latent", prompt_width=4,
)  # fmt: skip


class SmallElic(NetworkCodec):
    architecture = Architecture(
        name="small-elic", build=lambda: Elic(MINI), multiple=16, padding="edge"
    )


class SmallTic(NetworkCodec):
    architecture = Architecture(
        name="small-tic", build=lambda: Tic(SMALL_TIC), multiple=32, padding="edge"
    )


class SmallTcm(NetworkCodec):
    architecture = Architecture(
        name="small-tcm", build=lambda: Tcm(SMALL_TCM), multiple=64, padding="centred zeros"
    )


class SmallMlicpp(NetworkCodec):
    architecture = Architecture(
        name="small-mlicpp", build=lambda: Mlicpp(SMALL_MLICPP), multiple=64, padding="zeros"
    )


class SmallTranstic(NetworkCodec):
    architecture = Architecture(
        name="small-transtic",
        build=lambda: Transtic(SMALL_TRANSTIC),
        multiple=128,
        padding="edge",
    )


SMALL_CODECS = (SmallElic, SmallTic, SmallTcm, SmallMlicpp, SmallTranstic)


def write_small_weights(codec: NetworkCodec, folder: Path) -> None:
    """Two levels, of which the second has much larger latents."""
    torch.manual_seed(3)
    network = codec.architecture.build().eval()
    for lmbda, size in ((0.001, 4.0), (0.01, 16.0)):
        with torch.no_grad():
            last_of(network).mul_(size)
        network.entropy_bottleneck.update_quantiles()  # type: ignore[operator, union-attr]
        state = network.state_dict()
        write_level(folder, codec.name, name=f"{lmbda:g}", lmbda=lmbda, weights=state)


def last_of(network: nn.Module) -> nn.Parameter:
    """The weight of the layer that makes y, or that the last blocks are added to."""
    named = network.get_submodule("g_a").named_parameters()
    return [one for name, one in named if one.ndim == 4 and "prompt" not in name][-1]

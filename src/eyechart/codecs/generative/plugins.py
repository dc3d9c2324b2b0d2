"""The registered GAN codecs: for each name its network, padding and published checkpoints.

Levels are named by the rate that a checkpoint was trained for, in bits per pixel.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import eyechart.zoo
from eyechart.codecs.checkpoints import PublishedCheckpoints
from eyechart.codecs.generative.autoencoder import MS_ILLM as MS_ILLM_SHAPE
from eyechart.codecs.generative.autoencoder import GanAutoencoder, GanShape, shape_of
from eyechart.codecs.generative.discriminator import DiscriminatorShape
from eyechart.codecs.generative.gan import gan_objective
from eyechart.codecs.learned.architecture import Architecture
from eyechart.codecs.learned.elic import MINI, Elic
from eyechart.codecs.learned.neural import NetworkCodec

_ZOO = Path(eyechart.zoo.__file__).parent / "codecs"

# The network of elic-mini with fewer channels of y and more blocks in the synthesis. What is at the
# full or half of the image's size costs most on a CPU.
ILLM_MINI_SHAPE = replace(MINI, slices=(16, 16, 32, 48), synthesis_blocks=(1, 2, 6))

HIFIC = Architecture(
    name="hific",
    build=GanAutoencoder,
    multiple=16,
    padding="reflect",
    latent_multiple=4,
    knob="target_bpp",
    category="generative",
    published=(
        PublishedCheckpoints(
            levels=("0.14", "0.3", "0.45"),
            url="https://github.com/Justin-Tan/high-fidelity-generative-compression",
            licence="Apache License 2.0",
        ),
    ),
    variant=lambda tensors: GanAutoencoder(shape_of(tensors, GanShape())),
    objective=gan_objective,
)
MS_ILLM = Architecture(
    name="ms-illm",
    build=lambda: GanAutoencoder(MS_ILLM_SHAPE),
    multiple=64,
    padding="reflect",
    knob="target_bpp",
    category="generative",
    published=(
        PublishedCheckpoints(
            levels=("0.00438", "0.035", "0.07", "0.14"),
            url="https://github.com/facebookresearch/NeuralCompression/tree/main/projects/illm",
            licence="CC BY-NC 4.0, not for commercial use",
        ),
    ),
    objective=gan_objective,
)
ILLM_MINI = Architecture(
    name="illm-mini",
    build=lambda: Elic(ILLM_MINI_SHAPE),
    multiple=16,
    padding="edge",
    knob="target_bpp",
    category="generative",
    shipped=_ZOO / "illm-mini",
    objective=partial(
        gan_objective,
        shape=DiscriminatorShape(condition=8, widths=(24, 48, 96, 128)),
        beta=0.6,  # above HiFiC's 0.15, because its second stage is short
    ),
)
ARCHITECTURES = {architecture.name: architecture for architecture in (HIFIC, MS_ILLM, ILLM_MINI)}


class HificCodec(NetworkCodec):
    """HiFiC (arXiv 2006.09965), a GAN codec, with checkpoints of the user."""

    architecture = HIFIC


class MsIllmCodec(NetworkCodec):
    """MS-ILLM (arXiv 2301.11189), a GAN codec, with checkpoints of the user."""

    architecture = MS_ILLM


class IllmMiniCodec(NetworkCodec):
    """A small GAN codec whose weights ship with this package."""

    architecture = ILLM_MINI

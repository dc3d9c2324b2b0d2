"""A network with weights as a NeuralCodec: images to payloads and back.

A payload is the header of `eyechart.codecs.container` and one string of `coding.LatentEncoder`.
Images are padded at the bottom and right, or on all sides, as the network's own code does.

Large images go through the transforms in overlapping tiles.

Every image goes through the transforms alone and, on a CPU, in one thread: libraries choose other
algorithms, with other rounding errors, for other batches and thread counts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from eyechart.codecs import container
from eyechart.codecs.checkpoints import (
    LevelFile,
    Published,
    check_files,
    data_folder,
    levels_of,
    read_listing,
)
from eyechart.codecs.frames import check_rgb8
from eyechart.codecs.learned.coding import (
    Estimator,
    LatentCoder,
    LatentDecoder,
    LatentEncoder,
    Size,
    bottleneck_tables,
)
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.weights import fill, read_weights
from eyechart.core.errors import InputError
from eyechart.core.types import Bitstream, Json, Level, Reproducible, Rgb8

Padding: TypeAlias = Literal["zeros", "centred zeros", "edge"]
_MOST_LATENTS, _TILE, _MARGIN = 96 * 96, 64, 16  # 1536x1536, 1024 and 256 pixels
_TRANSFORMS = ("g_a", "h_a", "g_s")


class LatentNetwork(Protocol):
    """What every architecture has. The latent is 1/16 of the image's size, z 1/64."""

    g_a: nn.Module
    h_a: nn.Module
    g_s: nn.Module
    entropy_bottleneck: EntropyBottleneck

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A kind of network, and how images are brought to the size it takes.

    multiple: padded sides are multiples of this. shipped: the folder of weights in this package,
    where there are some. published: where checkpoints of others are. variant: builds the variant of
    the network that tensors are of, where there are several. for_machines: builds a network from
    the tensors of its base codec, of which only what adapts it to a task is to be trained.
    adapted_from: the name of that base codec.
    """

    name: str
    build: Callable[[], nn.Module]
    multiple: int
    padding: Padding
    published: tuple[Published, ...] = ()
    shipped: Path | None = None
    variant: Callable[[Mapping[str, Tensor]], nn.Module] | None = None
    for_machines: Callable[[Mapping[str, Tensor]], nn.Module] | None = None
    adapted_from: str = ""

    def network_of(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """A network with these tensors' shapes, with random weights."""
        return self.build() if self.variant is None else self.variant(tensors)

    def variant_name(self, network: nn.Module) -> str:
        """Which of several variants a network of this architecture is; "" if there is one."""
        shape = getattr(network, "shape", None)
        return "" if self.variant is None or shape is None else str(shape.variant)


class NetworkCodec:
    """The codec of an architecture, with the levels of one weights folder.

    weights: a folder with `levels.json`; "" for what ships with this package or was added with
    `eyechart codec add`.
    """

    version = "1"
    reproducible: Reproducible = "per device"

    def __init__(self, architecture: Architecture, *, weights: str = "") -> None:
        self.architecture = architecture
        self.name = architecture.name
        self.adapted_from = architecture.adapted_from
        self._weights = weights
        self._files: tuple[LevelFile, ...] | None = None
        self._held: tuple[str, LoadedNetwork] | None = None

    @property
    def options(self) -> Mapping[str, Json]:
        """Empty: a level's identity holds the digest of its weights."""
        return {}

    @property
    def folder(self) -> Path:
        if self._weights:
            return Path(self._weights)
        return self.architecture.shipped or data_folder(self.name)

    @property
    def levels(self) -> tuple[Level, ...]:
        return levels_of(self._level_files())

    def check(self) -> None:
        """Check that there are levels and that their files exist. Raises PluginError."""
        check_files(self.folder, self.name, published=self.architecture.published)

    def load(self, level: Level, device: str) -> LoadedNetwork:
        """Read one level's weights. Raises CodecError."""
        for file in self._level_files():
            if file.sha256 == level.weights:
                break
        else:
            raise InputError(f"{self.name}: level {level.name!r} is none of {self.folder}")
        path = self.folder / file.file
        tensors = read_weights(path, sha256=file.sha256, codec=self.name)
        network = self.architecture.network_of(tensors)
        fill(network, tensors, path, codec=self.name)
        return LoadedNetwork(network, self.architecture, level, device)

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return self._one(level).encode([rgb8])[0]

    def decode(self, bitstream: Bitstream) -> Rgb8:
        level, _ = container.unpack(self.name, bitstream, self.levels)
        return self._one(level).decode([bitstream])[0]

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        """The payload with its image's size. Raises CodecError for a payload of another codec."""
        return container.read(self.name, payload).bitstream

    def _level_files(self) -> tuple[LevelFile, ...]:
        if self._files is None:
            self._files = read_listing(self.folder, self.name)
        return self._files

    def _one(self, level: Level) -> LoadedNetwork:
        if self._held is None or self._held[0] != level.weights:
            self._held = (level.weights, self.load(level, "cpu"))
        return self._held[1]


class LoadedNetwork:
    """One level in memory: transforms in float32 on a device, entropy networks in float64."""

    def __init__(
        self, network: nn.Module, architecture: Architecture, level: Level, device: str
    ) -> None:
        self._architecture, self._level = architecture, level
        self._device = torch.device(device)
        entropy = copy.deepcopy(network).double()
        for name in _TRANSFORMS:
            delattr(entropy, name)
        self._entropy = cast(LatentNetwork, entropy.to(self._device).eval())
        self._tables = bottleneck_tables(self._entropy.entropy_bottleneck)
        network = network.to(self._device).eval()
        self._network = cast(LatentNetwork, network)

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        checked = [check_rgb8(image) for image in images]
        with torch.inference_mode(), one_thread():
            return [self._encode(image) for image in checked]

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        with torch.inference_mode(), one_thread():
            return [self._decode(bitstream) for bitstream in bitstreams]

    def estimate_bits(self, images: Sequence[Rgb8]) -> list[float]:
        """Estimated bits of each image from the likelihoods of z and y, without headers."""
        checked = [check_rgb8(image) for image in images]
        with torch.inference_mode(), one_thread():
            return [self._estimate(image) for image in checked]

    def close(self) -> None:
        del self._network, self._entropy

    def _latents(self, image: Rgb8) -> tuple[Tensor, Tensor]:
        """y and z of one image, before they are rounded."""
        x = _pad(_to_tensor(image, self._device), self._architecture)
        y = in_tiles(self._network.g_a, x, takes=16, gives=1)
        return y, self._network.h_a(y)

    def _estimate(self, image: Rgb8) -> float:
        y, z = self._latents(image)
        estimator = Estimator(training=False)
        self._entropy.code_latent(estimator, y.double(), z.double(), (y.shape[2], y.shape[3]))
        parts = [*estimator.z_likelihoods, *estimator.y_likelihoods]
        return sum(float(-part.log2().sum()) for part in parts)

    def _encode(self, image: Rgb8) -> Bitstream:
        height, width, _ = image.shape
        y, z = self._latents(image)
        encoder = LatentEncoder(1, self._tables, codec=self._architecture.name)
        self._entropy.code_latent(encoder, y, z, (y.shape[2], y.shape[3]))
        (string,) = encoder.finish()
        return container.pack(
            self._architecture.name, self._level, string, height_px=height, width_px=width
        )

    def _decode(self, bitstream: Bitstream) -> Rgb8:
        name = self._architecture.name
        _, string = container.unpack(name, bitstream, [self._level])
        height, width = bitstream.height_px, bitstream.width_px
        multiple = self._architecture.multiple
        size = tuple(-(-side // multiple) * multiple // 16 for side in (height, width))
        decoder = LatentDecoder([string], self._tables, codec=name)
        y_hat = self._entropy.code_latent(decoder, None, None, (size[0], size[1]))
        decoder.finish()
        top, _, left, _ = _margins(height, width, self._architecture)
        whole = in_tiles(self._network.g_s, y_hat.float(), takes=1, gives=16)[0]
        x_hat = whole[:, top : top + height, left : left + width]
        rounded = x_hat.clamp(0, 1).mul(255).round().to(torch.uint8)
        return np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())


def in_tiles(
    transform: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    takes: int,
    gives: int,
    most: int = _MOST_LATENTS,
    tile: int = _TILE,
    margin: int = _MARGIN,
) -> Tensor:
    """A transform of a large image, tile by tile, so that memory stays bounded.

    takes, gives: pixels a side of what goes in and comes out for one latent element. most: latent
    elements that go through as one. tile, margin: latent elements a side; what is computed in the
    margins around a tile is thrown away. The tiles follow from the size alone, so encoder and
    decoder agree.
    """
    rows, columns = x.shape[2] // takes, x.shape[3] // takes
    if rows * columns <= most:
        return transform(x)
    whole: Tensor | None = None
    for top in range(0, rows, tile):
        for left in range(0, columns, tile):
            down = _span(top, rows, tile, margin)
            across = _span(left, columns, tile, margin)
            part = transform(x[:, :, _scaled(down.around, takes), _scaled(across.around, takes)])
            if whole is None:
                shape = (*part.shape[:2], rows * gives, columns * gives)
                whole = part.new_empty(shape)
            kept = part[:, :, _scaled(down.kept, gives), _scaled(across.kept, gives)]
            whole[:, :, _scaled(down.own, gives), _scaled(across.own, gives)] = kept
    assert whole is not None
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """One axis of a tile: its output range, its input range, and its position in the input."""

    own: slice
    around: slice
    kept: slice


def _span(start: int, length: int, tile: int, margin: int) -> _Span:
    stop = min(length, start + tile)
    first, last = max(0, start - margin), min(length, stop + margin)
    return _Span(
        own=slice(start, stop),
        around=slice(first, last),
        kept=slice(start - first, stop - first),
    )


def _scaled(span: slice, factor: int) -> slice:
    return slice(span.start * factor, span.stop * factor)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch in one thread, so that sums are formed in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _to_tensor(image: Rgb8, device: torch.device) -> Tensor:
    return torch.tensor(image, device=device).permute(2, 0, 1)[None].float() / 255


def _pad(x: Tensor, architecture: Architecture) -> Tensor:
    """Pad to sides that the network takes."""
    top, bottom, left, right = _margins(x.shape[2], x.shape[3], architecture)
    mode = "replicate" if architecture.padding == "edge" else "constant"
    return nn.functional.pad(x, (left, right, top, bottom), mode=mode)


def _margins(height: int, width: int, architecture: Architecture) -> tuple[int, int, int, int]:
    """Padding at the top, bottom, left and right."""
    down, across = -height % architecture.multiple, -width % architecture.multiple
    if architecture.padding == "centred zeros":
        return down // 2, down - down // 2, across // 2, across - across // 2
    return 0, down, 0, across

"""Models of CompressAI (https://github.com/InterDigitalInc/CompressAI) as a codec.

    compressai:mbt2018-mean:4         one model at one quality
    compressai:model=mbt2018-mean     all qualities with local weights

The networks, their entropy coder and their strings are CompressAI's; the header and the checksum
before them are this package's. CompressAI and the weights must be installed: nothing is downloaded.

A payload after the header: height and width of the hyper-latent and the number of strings, then the
length of each string and the string; all numbers are LEB128.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import torch
import torch.nn.functional as F

from eyechart.codecs import container
from eyechart.codecs.checkpoints import digest, verify, weights_folder
from eyechart.codecs.frames import check_rgb8
from eyechart.codecs.learned.neural import one_thread
from eyechart.codecs.learned.single_images import SingleImages
from eyechart.core.errors import CodecError, InputError, PluginError
from eyechart.core.types import Bitstream, Json, Level, Reproducible, Rgb8

_MULTIPLE = 64  # as CompressAI's `eval_model` pads images


class CompressAiCodec:
    """A model of CompressAI's zoo with its published weights (needs `eyechart[compressai]`).

    model: `ARCH` or `ARCH:QUALITY`, such as `mbt2018-mean:4`. metric: what the weights were trained
    for. weights: the folder with the published files, or its URL; "" for the one that
    CompressAI downloads to.
    """

    name = "compressai"
    reproducible: Reproducible = "per device"

    def __init__(
        self, *, model: str = "", metric: Literal["mse", "ms-ssim"] = "mse", weights: str = ""
    ) -> None:
        self._arch, _, self._quality = model.partition(":")
        self._metric, self._weights = metric, weights
        self._singles = SingleImages(self)

    @property
    def version(self) -> str:
        try:
            return importlib.metadata.version("compressai")
        except importlib.metadata.PackageNotFoundError:
            _zoo()  # raises
            return "unknown"

    @property
    def options(self) -> Mapping[str, Json]:
        """The architecture; a level's identity holds its quality and the digest of its weights."""
        return {"model": self._arch, "metric": self._metric}

    @property
    def levels(self) -> tuple[Level, ...]:
        """The qualities with local weights."""
        files = {quality: path for quality, path in self._files().items() if path.is_file()}
        return tuple(
            Level(name=str(quality), rank=rank, knobs={"quality": quality}, weights=digest(path))
            for rank, (quality, path) in enumerate(files.items())
        )

    def check(self) -> None:
        """Check that CompressAI and the weights are installed. Raises PluginError."""
        some = any(path.is_file() for path in self._files().values())
        for quality, path in self._files().items():
            if path.is_file() or (not self._quality and some):
                continue
            raise PluginError(
                f"{self.name}: no weights {path}; they are published at {self._urls()[quality]}"
            )

    def load(self, level: Level, device: str) -> LoadedModel:
        """Read the weights of one quality. Raises CodecError."""
        path = next(
            (path for quality, path in self._files().items() if str(quality) == level.name), None
        )
        if path is None:
            raise InputError(f"{self.name}: {self._arch} has no quality {level.name!r} here")
        verify(path, level.weights, codec=self.name)
        zoo = _zoo()
        try:
            state = zoo.load_pretrained(torch.load(path, map_location="cpu", weights_only=True))
            network = zoo.model_architectures[self._arch].from_state_dict(state)
            network.update(force=True)
        except Exception as error:  # CompressAI's errors on foreign files are of many kinds
            raise CodecError(
                f"{path}: not weights of {self._arch} ({type(error).__name__})", codec=self.name
            ) from error
        return LoadedModel(network, level, device)

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return self._singles.encode(rgb8, level)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return self._singles.decode(bitstream)

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        """The image's size from a payload. Raises CodecError if it is another codec's."""
        return container.read(self.name, payload).bitstream

    def _urls(self) -> dict[int, str]:
        """URLs of the weights of the requested qualities."""
        published = _zoo().model_urls
        if self._arch not in published:
            raise InputError(
                f"{self.name}: model {self._arch!r}; allowed are {', '.join(published)}, as "
                "compressai:ARCH:QUALITY"
            )
        urls: dict[int, str] = published[self._arch].get(self._metric, {})
        if not self._quality:
            return urls
        if self._quality not in map(str, urls):
            allowed = ", ".join(map(str, urls)) or "none"
            raise InputError(
                f"{self.name}: quality {self._quality!r} of {self._arch} for {self._metric}; "
                f"allowed are {allowed}"
            )
        return {int(self._quality): urls[int(self._quality)]}

    def _files(self) -> dict[int, Path]:
        own = Path(torch.hub.get_dir()) / "checkpoints"
        folder = weights_folder(self._weights) if self._weights else own
        return {
            quality: folder / Path(urlsplit(url).path).name for quality, url in self._urls().items()
        }


class LoadedModel:
    """One quality in memory. Images go through one at a time, on a CPU in one thread."""

    def __init__(self, network: Any, level: Level, device: str) -> None:
        self._network = network.to(device).eval()
        self._level, self._device = level, device

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        checked = [check_rgb8(image) for image in images]
        with torch.inference_mode(), one_thread():
            return [self._encode(image) for image in checked]

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        with torch.inference_mode(), one_thread():
            return [self._decode(bitstream) for bitstream in bitstreams]

    def estimate_bits(self, images: Sequence[Rgb8]) -> list[float]:
        """Estimated bits of each image, from the model's likelihoods, without headers."""
        with torch.inference_mode(), one_thread():
            found = [self._network(self._padded(image))["likelihoods"] for image in images]
        return [
            sum(float(-part.double().log2().sum()) for part in parts.values()) for parts in found
        ]

    def close(self) -> None:
        del self._network

    def _padded(self, image: Rgb8) -> torch.Tensor:
        x = torch.tensor(image, device=self._device).permute(2, 0, 1)[None].float() / 255
        return F.pad(x, _margins(*image.shape[:2]))

    def _encode(self, image: Rgb8) -> Bitstream:
        coded = self._network.compress(self._padded(image))
        strings = [string for (string,) in coded["strings"]]  # a list of images each
        numbers = [*coded["shape"], len(strings)]
        parts = [container.leb128(int(number)) for number in numbers]
        for string in strings:
            parts += [container.leb128(len(string)), string]
        height, width, _ = image.shape
        return container.pack(
            CompressAiCodec.name, self._level, b"".join(parts), height_px=height, width_px=width
        )

    def _decode(self, bitstream: Bitstream) -> Rgb8:
        _, stream = container.unpack(CompressAiCodec.name, bitstream, [self._level])
        shape, strings = _strings(stream)
        height, width = bitstream.height_px, bitstream.width_px
        try:
            x_hat = self._network.decompress([[string] for string in strings], shape)["x_hat"]
        except (RuntimeError, ValueError, IndexError) as error:
            raise CodecError(
                "the payload is damaged (CompressAI's decoder)", codec=CompressAiCodec.name
            ) from error
        left, _, top, _ = _margins(height, width)
        cropped = x_hat[0, :, top : top + height, left : left + width]
        rounded = cropped.clamp(0, 1).mul(255).round().to(torch.uint8)
        return np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())


def _margins(height: int, width: int) -> tuple[int, int, int, int]:
    """Padding at the left, right, top and bottom."""
    down, across = -height % _MULTIPLE, -width % _MULTIPLE
    return across // 2, across - across // 2, down // 2, down - down // 2


def _strings(stream: bytes) -> tuple[tuple[int, int], list[bytes]]:
    height, at = container.read_leb128(CompressAiCodec.name, stream, 0)
    width, at = container.read_leb128(CompressAiCodec.name, stream, at)
    count, at = container.read_leb128(CompressAiCodec.name, stream, at)
    strings = []
    for _ in range(count):
        length, at = container.read_leb128(CompressAiCodec.name, stream, at)
        strings.append(stream[at : at + length])
        at += length
        if at > len(stream):
            raise CodecError("the payload is cut or damaged", codec=CompressAiCodec.name)
    return (height, width), strings


def _zoo() -> Any:
    """CompressAI's zoo. Raises PluginError if it is not installed."""
    try:
        from compressai.zoo import image
    except ImportError as error:
        raise PluginError(
            "compressai: needs the package compressai; pip install 'eyechart[compressai]'"
        ) from error
    return image

"""A network with weights as a NeuralCodec: images to payloads and back.

A payload is the header of `eyechart.codecs.container` and one string of `coding.LatentEncoder`.
Images are padded at the bottom and right, or on all sides, as the network's own code does.

Large images go through the transforms in overlapping tiles.

Libraries choose other algorithms, with other rounding errors, for other batches and thread counts.
Results must not depend on either: on a CPU every image is computed alone and in one thread. On a
GPU images of one size are computed together, in batches whose size follows from the image size
alone; free places of a batch are filled with zeros. In half precision they are computed alone
there too: its kernels round differently at different places of a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias, TypeVar, cast, get_args

import torch
from torch import Tensor, nn

from eyechart.codecs import container
from eyechart.codecs.checkpoints import (
    LevelFile,
    check_files,
    data_folder,
    how_to_add,
    levels_of,
    read_listing,
    weights_folder,
    where_levels_are,
)
from eyechart.codecs.frames import check_rgb8
from eyechart.codecs.learned import fast_convolutions, payloads
from eyechart.codecs.learned.architecture import Architecture
from eyechart.codecs.learned.coding import (
    Estimator,
    LatentDecoder,
    LatentEncoder,
    LatentNetwork,
    Size,
)
from eyechart.codecs.learned.densities import bottleneck_tables
from eyechart.codecs.learned.layers import reflect
from eyechart.codecs.learned.padding import Padding, rgb8_of, tensor_of
from eyechart.codecs.learned.single_images import SingleImages
from eyechart.codecs.learned.tiles import MOST_LATENTS, in_tiles
from eyechart.codecs.learned.weights import check_shared, fill, read_weights
from eyechart.core.errors import InputError
from eyechart.core.memory import freed_memory_kept
from eyechart.core.types import (
    Bitstream,
    Json,
    Level,
    LoadedCodec,
    Reproducible,
    Rgb8,
)

Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_MOST_AT_ONCE = 8
_MOST_KEPT_PX = MOST_LATENTS * 16**2  # of an image; larger ones go through transforms in tiles
_TRANSFORMS = ("g_a", "h_a", "g_s")
_T = TypeVar("_T")


class NetworkCodec:
    """The codec of an architecture, which a subclass names, with the levels of one weights folder.

    weights: a folder with `levels.json`, or its URL; "" for what ships with this package or was
    added with `eyechart codec add`.
    precision: of the transforms. The entropy model is computed in float64.
    """

    architecture: ClassVar[Architecture]
    version = str(payloads.STREAM_VERSION)
    reproducible: Reproducible = "per device"

    def __init__(self, *, weights: str = "", precision: Precision = "float32") -> None:
        self.name = self.architecture.name
        self.adapted_from = self.architecture.adapted_from
        self.category = self.architecture.category
        if precision not in get_args(Precision):
            allowed = ", ".join(get_args(Precision))
            raise InputError(f"{self.name}: precision {precision!r}; allowed: {allowed}")
        self._weights, self._precision = weights, precision
        self._files: tuple[LevelFile, ...] | None = None
        self._singles = SingleImages(self)

    @property
    def options(self) -> Mapping[str, Json]:
        """The precision, unless it is float32. A level's identity holds its weights' digest."""
        return {} if self._precision == "float32" else {"precision": self._precision}

    @property
    def folder(self) -> Path:
        if self._weights:
            return weights_folder(self._weights)
        return self.architecture.shipped or data_folder(self.name)

    @property
    def levels(self) -> tuple[Level, ...]:
        return levels_of(self._level_files())

    def check(self) -> None:
        """Check that there are levels and that their files exist. Raises PluginError."""
        remedy = self._remedy()
        for file in check_files(self.folder, self.name, remedy=remedy):
            if self.architecture.shared:
                check_shared(self.folder / file.file, codec=self.name, remedy=remedy)

    @property
    def missing_levels(self) -> str:
        """Which known levels are not here, and where they are published; "" for none."""
        if self._weights or self.architecture.shipped is not None:
            return ""
        here = [float(str(one.knobs[self.architecture.knob])) for one in self._level_files()]
        return where_levels_are(
            self.architecture.published, self.architecture.unpublished, here=here
        )

    def _remedy(self) -> str:
        """How to get a missing checkpoint, for a message."""
        architecture = self.architecture
        if self._weights:
            return how_to_add(self.name, into=self._weights)
        if architecture.shipped is not None:
            return "it ships with eyechart: install it again"
        where = where_levels_are(architecture.published, architecture.unpublished)
        return f"{where or 'none are published'}; {how_to_add(self.name)}"

    def load(self, level: Level, device: str) -> LoadedCodec:
        """Read one level's weights. Raises CodecError."""
        network = self.read_network(level.name, level.weights)
        return LoadedNetwork(network, self.architecture, level, device, precision=self._precision)

    def read_network(self, name: str, sha256: str) -> nn.Module:
        """The network of a level. sha256: of its file, which may have been replaced since.

        Raises:
            CodecError: the file is damaged. InputError: no such level in the folder.
        """
        path = self._path(name, sha256)
        tensors = read_weights(path, sha256=sha256, codec=self.name)
        network = self.architecture.network_of(tensors)
        fill(network, tensors, path, codec=self.name)
        return network

    def weights_bytes(self, level: Level) -> int:
        """Size of a level's file. Raises InputError: no such level in the folder."""
        return self._path(level.name, level.weights).stat().st_size

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return self._singles.encode(rgb8, level)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return self._singles.decode(bitstream)

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        """The payload with its image's size. Raises CodecError for a payload of another codec."""
        return container.read(self.name, payload).bitstream

    def _path(self, name: str, sha256: str) -> Path:
        """The file of a level. Raises InputError: no such level in the folder."""
        for file in self._level_files():
            if file.sha256 == sha256:
                return self.folder / file.file
        raise InputError(f"{self.name}: no level {name!r} in {self.folder}")

    def _level_files(self) -> tuple[LevelFile, ...]:
        if self._files is None:
            self._files = read_listing(self.folder, self.name)
        return self._files


class LoadedNetwork:
    """One level in memory: transforms on a device, entropy networks there in float64.

    precision: of the transforms. images_at_once: how many images of a padded height and width are
    computed together; default: `batch_size` in float32 on a GPU, else one.
    """

    def __init__(
        self,
        network: nn.Module,
        architecture: Architecture,
        level: Level,
        device: str,
        *,
        precision: Precision = "float32",
        images_at_once: Callable[[int, int], int] | None = None,
    ) -> None:
        self._architecture, self._level = architecture, level
        self._padding = Padding(multiple=architecture.multiple, mode=architecture.padding)
        self._device, self._dtype = torch.device(device), DTYPES[precision]
        self._images_at_once = images_at_once or (
            batch_size if self._device.type == "cuda" and precision == "float32" else _one_at_a_time
        )
        wide = architecture.wide and self._device.type == "cpu"
        nnpack = wide and precision == "float32" and fast_convolutions.available()
        self._layout = torch.channels_last if wide and not nnpack else torch.contiguous_format
        copied = copy.deepcopy(network).to(self._device).eval()
        transforms: list[nn.Module] = [
            copied.get_submodule(name).to(dtype=self._dtype, memory_format=self._layout)  # type: ignore[call-overload]
            for name in _TRANSFORMS
        ]
        if nnpack:
            transforms = [fast_convolutions.with_fast_transforms(one) for one in transforms]
        self._g_a, self._h_a, self._g_s = transforms
        for name in _TRANSFORMS:
            delattr(copied, name)
        entropy = copied.double()
        if wide:
            entropy = fast_convolutions.with_fast_entropy(entropy)
        self._entropy = cast(LatentNetwork, entropy)
        self._tables = bottleneck_tables(self._entropy.entropy_bottleneck)

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        checked = [check_rgb8(image) for image in images]
        sizes = [(image.shape[0], image.shape[1]) for image in checked]
        with torch.inference_mode(), same_results(self._device, sizes):
            return self._in_batches(
                sizes,
                lambda chosen, count: self._encode([checked[place] for place in chosen], count),
            )

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        name = self._architecture.name
        strings = payloads.strings_of(name, bitstreams, self._level)
        sizes = [(one.height_px, one.width_px) for one in bitstreams]
        with torch.inference_mode(), same_results(self._device, sizes):
            return self._in_batches(
                sizes,
                lambda chosen, count: self._decode(
                    [strings[place] for place in chosen], [sizes[place] for place in chosen], count
                ),
            )

    def estimate_bits(self, images: Sequence[Rgb8]) -> list[float]:
        """Estimated bits of each image from the likelihoods of z and y, without headers."""
        checked = [check_rgb8(image) for image in images]
        sizes = [(image.shape[0], image.shape[1]) for image in checked]
        with torch.inference_mode(), same_results(self._device, sizes):
            return self._in_batches(
                sizes,
                lambda chosen, count: self._estimate([checked[place] for place in chosen], count),
            )

    def close(self) -> None:
        del self._g_a, self._h_a, self._g_s, self._entropy

    def _in_batches(
        self, sizes: Sequence[Size], call: Callable[[list[int], int], list[_T]]
    ) -> list[_T]:
        """The results of `call` in order.

        sizes: of the images. call: takes the places of images of one padded size, and the number of
        images to compute, which is at least theirs.
        """
        groups: dict[Size, list[int]] = {}
        for place, size in enumerate(sizes):
            groups.setdefault(self._padding.padded(size), []).append(place)
        found: dict[int, _T] = {}
        for padded, places in groups.items():
            count = self._images_at_once(*padded)
            for start in range(0, len(places), count):
                chosen = places[start : start + count]
                found.update(zip(chosen, call(chosen, count), strict=True))
        return [found[place] for place in range(len(sizes))]

    def _latents(self, images: Sequence[Rgb8], count: int) -> tuple[Tensor, Tensor]:
        """y and z of `count` images, before they are rounded."""
        padded = [self._padding.pad(tensor_of(image, self._device)) for image in images]
        padded += [torch.zeros_like(padded[0])] * (count - len(images))
        x = torch.cat(padded).to(self._dtype, memory_format=self._layout)
        y = in_tiles(self._g_a, x, takes=16, gives=1)
        height, width = self._latent_size((y.shape[2], y.shape[3]))
        y = reflect(y, (0, width - y.shape[3], 0, height - y.shape[2]))
        return y, self._h_a(y)

    def _latent_size(self, size: Size) -> Size:
        """The size of y after it is padded."""
        multiple = self._architecture.latent_multiple
        return size[0] + -size[0] % multiple, size[1] + -size[1] % multiple

    def _estimate(self, images: Sequence[Rgb8], count: int) -> list[float]:
        y, z = self._latents(images, count)
        estimator = Estimator(training=False)
        self._entropy.code_latent(estimator, y.double(), z.double(), (y.shape[2], y.shape[3]))
        parts = [*estimator.z_likelihoods, *estimator.y_likelihoods]
        return [
            sum(float(-part[index].log2().sum()) for part in parts) for index in range(len(images))
        ]

    def _encode(self, images: Sequence[Rgb8], count: int) -> list[Bitstream]:
        name = self._architecture.name
        y, z = self._latents(images, count)
        encoder = LatentEncoder(len(images), self._tables, codec=name)
        self._entropy.code_latent(encoder, y, z, (y.shape[2], y.shape[3]))
        return [
            payloads.pack(
                name, self._level, string, height_px=image.shape[0], width_px=image.shape[1]
            )
            for image, string in zip(images, encoder.finish(), strict=True)
        ]

    def _decode(self, strings: Sequence[bytes], sizes: Sequence[Size], count: int) -> list[Rgb8]:
        padded = self._padding.padded(sizes[0])
        decoder = LatentDecoder(strings, self._tables, codec=self._architecture.name, batch=count)
        size = self._latent_size((padded[0] // 16, padded[1] // 16))
        y_hat = self._entropy.code_latent(decoder, None, None, size)
        decoder.finish()
        y_hat = y_hat.to(self._dtype, memory_format=self._layout)
        x_hat = in_tiles(self._g_s, y_hat, takes=1, gives=16).float()
        return [
            rgb8_of(self._padding.crop(whole, size), codec=self._architecture.name)
            for whole, size in zip(x_hat[: len(sizes)], sizes, strict=True)
        ]


def batch_size(height: int, width: int) -> int:
    """How many images of a padded size a GPU computes together.

    A batch has at most as many pixels as the largest image that goes through as one.
    """
    most = max(1, min(_MOST_AT_ONCE, MOST_LATENTS * 16**2 // (height * width)))
    return 1 << (most.bit_length() - 1)


def _one_at_a_time(height: int, width: int) -> int:
    return 1


@contextmanager
def same_results(device: torch.device, sizes: Sequence[Size]) -> Iterator[None]:
    """One thread, and on a GPU deterministic algorithms without TF32: sums in one order.

    sizes: of the images. With large ones freed memory goes back to the system: kept blocks of
    many sizes would add up to much more than what is used at a time.
    """
    if device.type != "cuda":
        large = any(height * width > _MOST_KEPT_PX for height, width in sizes)
        with one_thread(), nullcontext() if large else freed_memory_kept():
            yield
        return
    with one_thread():
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            with torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ):
                yield
        finally:
            torch.set_float32_matmul_precision(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch in one thread, so that sums are formed in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

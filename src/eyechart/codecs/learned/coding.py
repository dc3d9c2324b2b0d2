"""From a latent to bytes and back: range coding with the entropy models.

A network passes through its latent once, in `code_latent(coder, ...)`, and gives every part to a
coder. Three coders have the same methods:

- `Estimator`: nothing is coded; likelihoods are collected, gradients pass (training, rate estimate)
- `LatentEncoder`: symbols are range coded; one string per image
- `LatentDecoder`: symbols are read from such strings

All return the latent that a decoder knows (y_hat, z_hat), so that all share `code_latent`.
Their `tables` are those of the bottleneck; None for networks that do not call it.

Encoder and decoder must agree on every mean and scale. Both run the entropy networks in float64,
whose rounding errors (about 1e-15) are far below the steps of the grid that means and scales are
then rounded to. Each string starts with a checksum of its latent, so that a difference is an error
and never a wrong image. The symbols themselves are written by `range_coder`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import constriction
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from eyechart.codecs.learned.densities import (
    MEAN_STEP,
    SYMBOL_MAX,
    BottleneckTables,
    Density,
    on_grid,
    scale_indices,
)
from eyechart.codecs.learned.entropy import (
    EntropyBottleneck,
    gaussian_likelihood,
    logistic_likelihood,
)
from eyechart.codecs.learned.layers import ste_round
from eyechart.codecs.learned.range_coder import SymbolReader, SymbolWriter
from eyechart.core.errors import CodecError

Size: TypeAlias = tuple[int, int]  # height, width

_CHECKSUM_BYTES = 2
_FULL_BYTES = 4  # of a value in full precision
_COMMITMENT = 0.25  # weight of the distance that moves z
_uniform = constriction.stream.model.Uniform


class LatentCoder(Protocol):
    """Codes the parts of a latent. When decoding, the values passed to it are None."""

    def bottleneck(self, z: Tensor | None, model: EntropyBottleneck, size: Size) -> Tensor:
        """z (batch, channels, *size) -> z_hat."""
        ...

    def codebook(self, z: Tensor | None, entries: Tensor, size: Size) -> Tensor:
        """z (batch, channels, *size) -> the nearest entries, each coded with log2(count) bits.

        entries: (count, channels), equal in encoder and decoder.
        """
        ...

    def gaussian(
        self, y: Tensor | None, means: Tensor, scales: Tensor, where: Tensor | None = None
    ) -> Tensor:
        """y with normal densities of these means and scales, all of one shape -> y_hat.

        where: bool (height, width); only these positions are coded, y_hat is 0 elsewhere.
        """
        ...

    def logistic(self, y: Tensor | None, means: Tensor, scales: Tensor) -> Tensor:
        """y with logistic densities of these means and scales, all of one shape -> y_hat."""
        ...


class Estimator:
    """Collects likelihoods; rounding passes gradients. In training the rate is that of noise.

    Half precision, which a network's layers may have in training, is too coarse for symbols and
    probabilities: all is computed in float32 or better here.

    codebook_loss: what pulls entries and z together (arXiv 1711.00937, equation 3).
    """

    def __init__(self, *, training: bool) -> None:
        self._training = training
        self.z_likelihoods: list[Tensor] = []
        self.y_likelihoods: list[Tensor] = []  # of each call for y; 1 outside `where`
        self.codebook_loss = torch.zeros(())

    def bottleneck(self, z: Tensor | None, model: EntropyBottleneck, size: Size) -> Tensor:
        assert z is not None
        z_hat, likelihoods = model.forward(_full(z))
        self.z_likelihoods.append(likelihoods)
        return z_hat

    def codebook(self, z: Tensor | None, entries: Tensor, size: Size) -> Tensor:
        assert z is not None
        z = _full(z)
        found = _entries_at(entries, _nearest(z, entries))
        self.z_likelihoods.append(torch.full_like(z[:, :1], 1 / len(entries)))
        moved, kept = (found - z.detach()).square(), (z - found.detach()).square()
        self.codebook_loss = (moved + _COMMITMENT * kept).mean()
        return z + (found - z).detach()

    def gaussian(
        self, y: Tensor | None, means: Tensor, scales: Tensor, where: Tensor | None = None
    ) -> Tensor:
        assert y is not None
        y, means, scales = _full(y), _full(means), _full(scales)
        likelihoods = gaussian_likelihood(y, scales, means, noise=self._training)
        y_hat = ste_round(y - means) + means
        if where is not None:
            likelihoods = torch.where(where, likelihoods, 1.0)
            y_hat = torch.where(where, y_hat, 0.0)
        self.y_likelihoods.append(likelihoods)
        return y_hat

    def logistic(self, y: Tensor | None, means: Tensor, scales: Tensor) -> Tensor:
        assert y is not None
        y, means, scales = _full(y), _full(means), _full(scales)
        self.y_likelihoods.append(logistic_likelihood(y, scales, means, noise=self._training))
        return ste_round(y - means) + means

    def of_pairs(self) -> Tensor:
        """Likelihoods of y whose slices were coded in two passes, anchors first."""
        passes = zip(self.y_likelihoods[0::2], self.y_likelihoods[1::2], strict=True)
        return torch.cat([anchors * others for anchors, others in passes], 1)


def _full(values: Tensor) -> Tensor:
    return values.float() if values.dtype.itemsize < _FULL_BYTES else values


class LatentNetwork(Protocol):
    """What every architecture has. The latent is 1/16 of the image's size, z 1/64."""

    @property
    def g_a(self) -> nn.Module: ...
    @property
    def h_a(self) -> nn.Module: ...
    @property
    def g_s(self) -> nn.Module: ...
    @property
    def entropy_bottleneck(self) -> EntropyBottleneck: ...

    training: bool

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor: ...


def forward_in_one_pass(network: LatentNetwork, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The reconstruction and the likelihoods of `y` and `z`, for a latent coded in one pass.

    x: images (batch, 3, height, width). The network says whether it is in training.
    """
    estimator = Estimator(training=network.training)
    y = network.g_a(x)
    y_hat = network.code_latent(estimator, y, network.h_a(y), (y.shape[2], y.shape[3]))
    (y_likelihoods,), (z_likelihoods,) = estimator.y_likelihoods, estimator.z_likelihoods
    return network.g_s(y_hat), {"y": y_likelihoods, "z": z_likelihoods}


class LatentEncoder:
    """Writes one string for each of the first `batch` images; the latent may hold more."""

    def __init__(self, batch: int, tables: BottleneckTables | None, *, codec: str) -> None:
        self._tables = tables
        self._codec = codec
        self._writers = [SymbolWriter() for _ in range(batch)]
        self._checksums = [0] * batch

    def bottleneck(self, z: Tensor | None, model: EntropyBottleneck, size: Size) -> Tensor:
        tables = self._tables
        assert z is not None
        assert tables is not None
        medians = tables.medians.to(z.device)
        self._check_finite(z)
        symbols = torch.round(z.double() - medians).cpu().numpy()
        low, high = (side.reshape(1, -1, 1, 1) for side in (tables.low, tables.high))
        whole = np.clip(symbols, low, high).astype(np.int32)
        for index, writer in enumerate(self._writers):
            for channel, table in enumerate(tables.models):
                writer.write((whole[index, channel] - tables.low[channel]).reshape(-1), table)
        z_hat = torch.from_numpy(whole).to(medians) + medians
        _add_checksums(self._checksums, _selected(z_hat, None))
        return z_hat

    def codebook(self, z: Tensor | None, entries: Tensor, size: Size) -> Tensor:
        assert z is not None
        self._check_finite(z)
        indices = _nearest(z, entries)
        whole = indices.flatten(1).cpu().numpy().astype(np.int32)
        for writer, row in zip(self._writers, whole, strict=False):
            writer.write(row, _uniform(len(entries)))
        _add_checksums(self._checksums, whole * MEAN_STEP)
        return _entries_at(entries, indices)

    def gaussian(
        self, y: Tensor | None, means: Tensor, scales: Tensor, where: Tensor | None = None
    ) -> Tensor:
        return self._conditional(y, means, scales, where, "gaussian")

    def logistic(self, y: Tensor | None, means: Tensor, scales: Tensor) -> Tensor:
        return self._conditional(y, means, scales, None, "logistic")

    def _conditional(
        self,
        y: Tensor | None,
        means: Tensor,
        scales: Tensor,
        where: Tensor | None,
        density: Density,
    ) -> Tensor:
        assert y is not None
        self._check_finite(y, means, scales)
        means = on_grid(means)
        symbols = torch.round(y.double() - means).clamp_(-SYMBOL_MAX, SYMBOL_MAX)
        whole = _selected(symbols, where).astype(np.int32)
        indices = _selected(scale_indices(scales), where)
        for index, writer in enumerate(self._writers):
            writer.write_conditional(whole[index], indices[index], density)
        y_hat = symbols + means
        _add_checksums(self._checksums, _selected(y_hat, where))
        return y_hat if where is None else torch.where(where, y_hat, 0.0)

    def finish(self) -> list[bytes]:
        """The strings: two bytes of checksum, then the range coder's."""
        return [
            (checksum & 0xFFFF).to_bytes(_CHECKSUM_BYTES, "big") + writer.finish()
            for writer, checksum in zip(self._writers, self._checksums, strict=True)
        ]

    def _check_finite(self, *tensors: Tensor) -> None:
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            message = "the network's output is not finite: its weights are damaged"
            raise CodecError(message, codec=self._codec)


class LatentDecoder:
    """Reads the strings of a `LatentEncoder`. `finish`, called at the end, checks the checksums.

    batch: images of the latent, where they are more than the strings; their symbols are 0.
    """

    def __init__(
        self,
        strings: Sequence[bytes],
        tables: BottleneckTables | None,
        *,
        codec: str,
        batch: int = 0,
    ) -> None:
        self._tables = tables
        self._codec = codec
        self._batch = batch or len(strings)
        self._wanted = [int.from_bytes(s[:_CHECKSUM_BYTES], "big") for s in strings]
        self._readers = [SymbolReader(s[_CHECKSUM_BYTES:], codec=codec) for s in strings]
        self._checksums = [0] * len(strings)

    def bottleneck(self, z: Tensor | None, model: EntropyBottleneck, size: Size) -> Tensor:
        tables = self._tables
        assert tables is not None
        medians = tables.medians.to(model.quantiles.device)
        count = size[0] * size[1]
        found = np.zeros((self._batch, model.channels, count), np.int32)
        for index, reader in enumerate(self._readers):
            for channel, table in enumerate(tables.models):
                symbols = reader.read(count, table)
                found[index, channel] = symbols + tables.low[channel]
        z_hat = torch.from_numpy(found.reshape(*found.shape[:2], *size)).to(medians) + medians
        _add_checksums(self._checksums, _selected(z_hat, None))
        return z_hat

    def codebook(self, z: Tensor | None, entries: Tensor, size: Size) -> Tensor:
        count = size[0] * size[1]
        found = np.zeros((self._batch, count), np.int32)
        for index, reader in enumerate(self._readers):
            found[index] = reader.read(count, _uniform(len(entries)))
        _add_checksums(self._checksums, found * MEAN_STEP)
        indices = torch.from_numpy(found.reshape(-1, *size)).long().to(entries.device)
        return _entries_at(entries, indices)

    def gaussian(
        self, y: Tensor | None, means: Tensor, scales: Tensor, where: Tensor | None = None
    ) -> Tensor:
        return self._conditional(means, scales, where, "gaussian")

    def logistic(self, y: Tensor | None, means: Tensor, scales: Tensor) -> Tensor:
        return self._conditional(means, scales, None, "logistic")

    def _conditional(
        self,
        means: Tensor,
        scales: Tensor,
        where: Tensor | None,
        density: Density,
    ) -> Tensor:
        means = on_grid(means)
        indices = _selected(scale_indices(scales), where)
        found = np.zeros(indices.shape, np.int32)
        for index, reader in enumerate(self._readers):
            found[index] = reader.read_conditional(indices[index], density)
        symbols = torch.from_numpy(found).to(means)
        if where is None:
            y_hat = symbols.reshape(means.shape) + means
        else:
            y_hat = torch.zeros_like(means)
            y_hat[:, :, where] = symbols.reshape(*means.shape[:2], -1) + means[:, :, where]
        _add_checksums(self._checksums, _selected(y_hat, where))
        return y_hat

    def finish(self) -> None:
        """Raises CodecError if any string's latent is not the one that was encoded."""
        for wanted, found in zip(self._wanted, self._checksums, strict=True):
            if wanted != found & 0xFFFF:
                raise CodecError(
                    "the decoded latent is not the encoder's (checksum): the payload is damaged "
                    "or this machine computes the entropy model differently",
                    codec=self._codec,
                )


def _nearest(z: Tensor, entries: Tensor) -> Tensor:
    """Indices (batch, height, width) of the entries nearest to z."""
    known = entries.double()
    half_squares = known.square().sum(1) / 2
    near = torch.einsum("bchw,nc->bnhw", z.double(), known) - half_squares[:, None, None]
    return near.argmax(1)


def _entries_at(entries: Tensor, indices: Tensor) -> Tensor:
    """(batch, channels, height, width)."""
    return entries[indices].permute(0, 3, 1, 2)


def _selected(values: Tensor, where: Tensor | None) -> npt.NDArray[Any]:
    """(batch, n): the coded positions of (batch, channels, height, width), channel by channel."""
    chosen = values if where is None else values[:, :, where]
    found: npt.NDArray[Any] = chosen.reshape(values.shape[0], -1).cpu().numpy()
    return found


def _add_checksums(checksums: list[int], latent: npt.NDArray[np.floating[Any]]) -> None:
    """Update checksums with the coded latents (batch, n) of the first images, in grid steps."""
    steps = np.ascontiguousarray(latent[: len(checksums)] / MEAN_STEP, "<i4")
    for index, row in enumerate(steps):
        checksums[index] = zlib.crc32(row.tobytes(), checksums[index])

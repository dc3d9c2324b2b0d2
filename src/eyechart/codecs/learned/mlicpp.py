"""MLIC++, multi-reference entropy model with linear complexity (Jiang et al., arXiv 2307.15421).

The full-size network follows the authors' code (https://github.com/JiangWeibeta/MLIC): its
checkpoints load after a rename. The authors changed two parts in April 2024, the first layer of
g_s and the networks that predict rounding errors. `MlicShape` holds the variant and the sizes, and
`shape_of` reads it from a checkpoint.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.learned.coding import Estimator, LatentCoder, Size
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.layers import at_positions, checkerboard, conv
from eyechart.codecs.learned.mlicpp_context import (
    ChannelContext,
    InterContext,
    IntraContext,
    LocalContext,
)
from eyechart.codecs.learned.residual import Residual, ResidualDown, ResidualUp, subpixel


@dataclass(frozen=True, slots=True, kw_only=True)
class MlicShape:
    """The sizes of an MLIC++ network. The defaults are those of the authors' code since 2024-04.

    width: channels of the transforms and of z. latent: channels of y, coded in `slices` parts.
    head: channels of an attention head between slices. parameters, prediction, context: widths of
    the networks for means and scales, for rounding errors, and for known slices.
    synthesis_2023: g_s narrows y to `width` in its first layer, not in its second.
    prediction_2023: four layers predict rounding errors, with widths that follow from their input.
    """

    width: int = 192
    latent: int = 320
    slices: int = 10
    head: int = 32
    parameters: tuple[int, int, int] = (320, 256, 128)
    prediction: tuple[int, int] = (224, 128)
    context: tuple[int, int] = (192, 128)
    synthesis_2023: bool = False
    prediction_2023: bool = False

    @property
    def variant(self) -> str:
        """Which of the authors' networks this is: the synthesis transform and the prediction."""
        years = [2023 if old else 2024 for old in (self.synthesis_2023, self.prediction_2023)]
        if years[0] == years[1]:
            return f"of {years[0]}"
        return f"synthesis transform of {years[0]}, prediction of {years[1]}"

    @property
    def slice(self) -> int:
        return self.latent // self.slices


def shape_of(tensors: Mapping[str, Tensor]) -> MlicShape:
    """The variant of a full-size checkpoint, whose keys are already those of this package."""
    first = tensors.get("g_s.0.conv1.weight")
    return MlicShape(
        synthesis_2023=first is not None and first.shape[0] != first.shape[1],
        prediction_2023="lrp_anchor.0.6.weight" in tensors,
    )


class Mlicpp(nn.Module):
    """The network: transforms g_a, g_s, hyper transforms h_a, h_s, and the contexts of y.

    `forward` takes images (batch, 3, height, width) in 0..1, sides multiples of 64, and returns
    the reconstruction and the likelihoods of `y` and `z`.
    """

    def __init__(self, shape: MlicShape = MlicShape()) -> None:
        super().__init__()
        self.shape = shape
        width, latent, part = shape.width, shape.latent, shape.slice
        self.g_a, self.g_s = _analysis(shape), _synthesis(shape)
        self.h_a = _gelu(
            conv(latent, width, kernel=3, stride=1),
            conv(width, width, kernel=3, stride=1),
            conv(width, width, kernel=3),
            conv(width, width, kernel=3, stride=1),
            conv(width, width, kernel=3),
        )
        between = latent * 3 // 2
        self.h_s = _gelu(
            conv(width, latent, kernel=3, stride=1),
            subpixel(latent, latent),
            conv(latent, between, kernel=3, stride=1),
            subpixel(between, between),
            conv(between, 2 * latent, kernel=3, stride=1),
        )
        every, later = range(shape.slices), range(1, shape.slices)
        first = nn.Identity()  # the first slice has no slices before it; keeps the others' numbers
        self.local_context = nn.ModuleList(LocalContext(part) for _ in every)
        self.channel_context = nn.ModuleList(
            [first, *(ChannelContext(part * index, 4 * part, shape.context) for index in later)]
        )
        self.global_inter_context = nn.ModuleList(
            [first, *(InterContext(part * index, 2 * part, head=shape.head) for index in later)]
        )
        self.global_intra_context = nn.ModuleList([first, *(IntraContext(part) for _ in later)])
        self.entropy_parameters_anchor = nn.ModuleList(
            _parameters(2 * latent + (6 * part if index else 0), shape) for index in every
        )
        self.entropy_parameters_nonanchor = nn.ModuleList(
            _parameters(2 * latent + (10 * part if index else 2 * part), shape) for index in every
        )
        self.lrp_anchor = nn.ModuleList(_prediction(index, shape) for index in every)
        self.lrp_nonanchor = nn.ModuleList(_prediction(index, shape) for index in every)
        self.entropy_bottleneck = EntropyBottleneck(width)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        estimator = Estimator(training=self.training)
        y = self.g_a(x)
        y_hat = self.code_latent(estimator, y, self.h_a(y), (y.shape[2], y.shape[3]))
        return self.g_s(y_hat), {"y": estimator.of_pairs(), "z": estimator.z_likelihoods[0]}

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor:
        """Pass z and then y to a coder, slice by slice; both are None when decoding.

        Anchors are where row and column add up to an odd number. size: height and width of y.
        Returns y_hat (batch, latent, height, width) with predicted rounding errors.
        """
        z_hat = coder.bottleneck(z, self.entropy_bottleneck, (-(-size[0] // 4), -(-size[1] // 4)))
        hyper = self.h_s(z_hat)[:, :, : size[0], : size[1]]
        hyper_means = hyper.chunk(2, 1)[1]
        anchors = ~checkerboard(*size, hyper.device)
        slices = [None] * self.shape.slices if y is None else y.chunk(self.shape.slices, 1)
        done: list[Tensor] = []
        for index, y_slice in enumerate(slices):
            channels = self._channels(index, done)
            known = torch.cat([*channels, hyper], 1)[:, :, anchors]
            network = self.entropy_parameters_anchor[index]
            scales, means = at_positions(network, known, anchors).chunk(2, 1)
            first = coder.gaussian(y_slice, means, scales, anchors)
            error = _rounding(self.lrp_anchor[index], [hyper_means, *done, first])
            first = first + torch.where(anchors, error, 0.0)

            places = [self.local_context[index](first, anchors)]
            if index:
                places.append(self.global_intra_context[index](done[-1], first, anchors))
            known = torch.cat([*places, *channels, hyper], 1)[:, :, ~anchors]
            network = self.entropy_parameters_nonanchor[index]
            scales, means = at_positions(network, known, ~anchors).chunk(2, 1)
            both = first + coder.gaussian(y_slice, means, scales, ~anchors)
            error = _rounding(self.lrp_nonanchor[index], [hyper_means, *done, both])
            done.append(both + torch.where(anchors, 0.0, error))
        return torch.cat(done, 1)

    def _channels(self, index: int, done: list[Tensor]) -> list[Tensor]:
        """The earlier slices that slice `index` is conditioned on."""
        if index == 0:
            return []
        known = torch.cat(done, 1)
        return [self.global_inter_context[index](known), self.channel_context[index](known)]


def _gelu(*layers: nn.Module) -> nn.Sequential:
    """The layers with a GELU between them."""
    spaced = [part for layer in layers for part in (layer, nn.GELU())]
    return nn.Sequential(*spaced[:-1])


def _analysis(shape: MlicShape) -> nn.Sequential:
    width = shape.width
    return nn.Sequential(
        ResidualDown(3, width, activation=F.gelu),
        Residual(width, width, activation=F.gelu),
        ResidualDown(width, width, activation=F.gelu),
        Residual(width, width, activation=F.gelu),
        ResidualDown(width, width, activation=F.gelu),
        Residual(width, width, activation=F.gelu),
        conv(width, shape.latent, kernel=3),
    )


def _synthesis(shape: MlicShape) -> nn.Sequential:
    width, latent = shape.width, shape.latent
    first = width if shape.synthesis_2023 else latent
    return nn.Sequential(
        Residual(latent, first, activation=F.gelu),
        ResidualUp(first, width, activation=F.gelu),
        Residual(width, width, activation=F.gelu),
        ResidualUp(width, width, activation=F.gelu),
        Residual(width, width, activation=F.gelu),
        ResidualUp(width, width, activation=F.gelu),
        Residual(width, width, activation=F.gelu),
        subpixel(width, 3),
    )


def _parameters(inputs: int, shape: MlicShape) -> nn.Sequential:
    widths = (inputs, *shape.parameters, 2 * shape.slice)
    return _gelu(*(nn.Conv2d(before, after, 1) for before, after in itertools.pairwise(widths)))


def _prediction(index: int, shape: MlicShape) -> nn.Sequential:
    """Of rounding errors, from hyper means, the slices before and this slice."""
    inputs, outputs = shape.latent + (index + 1) * shape.slice, shape.slice
    extra = inputs - outputs
    steps = tuple(inputs - extra * quarters // 4 for quarters in (1, 2, 3))
    between = steps if shape.prediction_2023 else shape.prediction
    widths = (inputs, *between, outputs)
    return _gelu(
        *(conv(before, after, kernel=3, stride=1) for before, after in itertools.pairwise(widths))
    )


def _rounding(network: nn.Module, known: list[Tensor]) -> Tensor:
    return 0.5 * torch.tanh(network(torch.cat(known, 1)))

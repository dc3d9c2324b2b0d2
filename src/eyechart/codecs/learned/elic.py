"""ELIC (He et al., CVPR 2022, arXiv 2203.10886) with uneven channel groups.

The full-size network follows a widely used re-implementation
(https://github.com/VincentChandelier/ELiC-ReImplemetation): its checkpoints load after a rename.
`ElicShape` scales the same network down.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eyechart.codecs.learned.coding import Estimator, LatentCoder
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.layers import (
    AttentionBlock,
    CheckerboardConv,
    ResidualBottleneck,
    at_positions,
    bias_of,
    checkerboard,
    conv,
    deconv,
)
from eyechart.codecs.learned.principal import latent_gain, start_linear


@dataclass(frozen=True, slots=True, kw_only=True)
class ElicShape:
    """The sizes of an ELIC network. The defaults are those of the paper.

    widths: channels at 1/2, 1/4 and 1/8 of the image's size. blocks: residual blocks there;
    synthesis_blocks: of the synthesis, where it has others than the analysis.
    latent: channels of y, the sum of `slices`; latent_kernel: of the convolutions that make y and
    take it. hyper: channels of z and the middle of its decoder. context: widths of the channel
    context; context_kernel: of both contexts. aggregation: widths of the layers that turn all
    contexts into means and scales. attention: with attention blocks.
    """

    widths: tuple[int, int, int] = (192, 192, 192)
    blocks: tuple[int, int, int] = (3, 3, 3)
    synthesis_blocks: tuple[int, int, int] | None = None
    slices: tuple[int, ...] = (16, 16, 32, 64, 192)
    latent_kernel: int = 5
    hyper: tuple[int, int] = (192, 288)
    context: tuple[int, int] = (224, 128)
    context_kernel: int = 5
    aggregation: tuple[int, int] = (640, 512)
    attention: bool = True

    @property
    def latent(self) -> int:
        return sum(self.slices)


MINI = ElicShape(
    widths=(32, 48, 80),
    blocks=(1, 1, 2),
    slices=(16, 16, 32, 48, 80),
    latent_kernel=3,
    hyper=(32, 40),
    context=(40, 24),
    context_kernel=3,
    aggregation=(64, 64),
    attention=False,
)


class Elic(nn.Module):
    """The network: transforms g_a, g_s, hyper transforms h_a, h_s, and the contexts of y.

    `forward` takes images (batch, 3, height, width) in 0..1 whose sides are multiples of 16 and
    returns the reconstruction and the likelihoods of `y` and `z`.
    """

    def __init__(self, shape: ElicShape = ElicShape()) -> None:
        super().__init__()
        self.shape = shape
        self.g_a, self.g_s = analysis(shape), _synthesis(shape)
        hyper, middle = shape.hyper
        self.h_a = nn.Sequential(
            conv(shape.latent, hyper, kernel=3, stride=1),
            nn.ReLU(),
            conv(hyper, hyper),
            nn.ReLU(),
            conv(hyper, hyper),
        )
        self.h_s = nn.Sequential(
            deconv(hyper, hyper),
            nn.ReLU(),
            deconv(hyper, middle),
            nn.ReLU(),
            conv(middle, 2 * shape.latent, kernel=3, stride=1),
        )
        self.cc_transforms = nn.ModuleList(
            _channel_context(shape, index) for index in range(1, len(shape.slices))
        )
        self.context_prediction = nn.ModuleList(
            CheckerboardConv(channels, 2 * channels, kernel=shape.context_kernel)
            for channels in shape.slices
        )
        self.ParamAggregation = nn.ModuleList(
            _aggregation(shape, index) for index in range(len(shape.slices))
        )
        self.entropy_bottleneck = EntropyBottleneck(hyper)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        estimator = Estimator(training=self.training)
        y = self.g_a(x)
        y_hat = self.code_latent(estimator, y, self.h_a(y), (y.shape[2], y.shape[3]))
        return self.g_s(y_hat), {"y": estimator.of_pairs(), "z": estimator.z_likelihoods[0]}

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: tuple[int, int]
    ) -> Tensor:
        """Pass z and then y to a coder, slice by slice; both are None when decoding.

        size: height and width of y. Returns y_hat (batch, latent, height, width).
        """
        height, width = size
        z_hat = coder.bottleneck(z, self.entropy_bottleneck, (-(-height // 4), -(-width // 4)))
        hyper = self.h_s(z_hat)[:, :, :height, :width]
        anchors = checkerboard(height, width, hyper.device)
        sizes = self.shape.slices
        slices = [None] * len(sizes) if y is None else torch.split(y, list(sizes), 1)
        colours = anchors, ~anchors
        hypers = [hyper[:, :, where] for where in colours]
        done: list[Tensor] = []
        for index, y_slice in enumerate(slices):
            earlier = self._earlier(index, done)
            coded: Tensor | None = None
            for where, known in zip(colours, hypers, strict=True):
                parts = [known] if earlier is None else [earlier[:, :, where], known]
                means, scales = self._means_scales(index, parts, coded, where)
                found = coder.gaussian(y_slice, means, scales, where)
                coded = found if coded is None else coded + found
            assert coded is not None
            done.append(coded)
        return torch.cat(done, 1)

    @torch.no_grad()
    def start(self, images: Tensor, lmbda: float) -> None:
        """Set the first weights for training: the transforms as principal component transforms.

        From random weights they are learned in thousands of steps. With these weights the network
        is a linear transform codec from the start. images: (batch, 3, height, width) to compute
        them from. lmbda: sets the size of y, so that a quantisation step of 1 is right for this
        weight of the distortion.
        """
        down = [layer for layer in self.g_a if isinstance(layer, nn.Conv2d)]
        up = [layer for layer in self.g_s if isinstance(layer, nn.ConvTranspose2d)]
        y = start_linear(down, up[::-1], images, gain=latent_gain(lmbda))
        for module in self.modules():
            if isinstance(module, ResidualBottleneck):
                module.conv3.weight.mul_(0.1)
                nn.init.zeros_(bias_of(module.conv3))
        scales = torch.split(y.std((0, 2, 3)), list(self.shape.slices))
        for aggregation, scale in zip(self.ParamAggregation, scales, strict=True):
            last = aggregation.get_submodule("4")
            assert isinstance(last, nn.Conv2d)
            last.weight.mul_(0.1)
            bias_of(last).copy_(torch.cat([torch.zeros_like(scale), scale]))

    @torch.no_grad()
    def scale_latent(self, factor: float) -> None:
        """Multiply y by a factor that the synthesis divides by: only the rounding of y changes.

        So weights trained for one lambda are a good start for another one: the best quantisation
        step is proportional to 1 / sqrt(lambda). With attention blocks on y there is no such
        factor, and nothing is changed.
        """
        if self.shape.attention:
            return
        last = [layer for layer in self.g_a if isinstance(layer, nn.Conv2d)][-1]
        first = next(layer for layer in self.g_s if isinstance(layer, nn.ConvTranspose2d))
        scaled = [last, *(stack.get_submodule("4") for stack in self.ParamAggregation)]
        takes_y = [first, self.h_a[0], *self.context_prediction]
        takes_y += [stack.get_submodule("0") for stack in self.cc_transforms]
        for layer in scaled:
            assert isinstance(layer, nn.Conv2d)
            layer.weight.mul_(factor)
            bias_of(layer).mul_(factor)
        for layer in takes_y:
            assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
            layer.weight.div_(factor)

    def _earlier(self, index: int, done: list[Tensor]) -> Tensor | None:
        """What slices 0 and index - 1 say of slice `index`; None for the first."""
        if index == 0:
            return None
        known = done[0] if index == 1 else torch.cat([done[0], done[index - 1]], 1)
        found: Tensor = self.cc_transforms[index - 1](known)
        return found

    def _means_scales(
        self, index: int, parts: list[Tensor], anchors: Tensor | None, where: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Means and scales of slice `index` at the positions `where`, 0 at the others.

        parts: what is known there of earlier slices and of z, (batch, channels, n) each.
        anchors: those of the slice; None: they are not known yet, their context is 0.
        """
        if anchors is not None:
            prediction = self.context_prediction[index]
            assert isinstance(prediction, CheckerboardConv)
            parts = [prediction.at(anchors, where), *parts]
        stack = self.ParamAggregation[index]
        assert isinstance(stack, nn.Sequential)
        first = stack[0]
        assert isinstance(first, nn.Conv2d)
        # Part by part: joining the parts would take a tenth of the time of the products.
        sizes = [part.shape[1] for part in parts]
        weights = torch.split(first.weight[:, -sum(sizes) :, 0, 0], sizes, 1)
        total = bias_of(first)[:, None]
        for columns, part in zip(weights, parts, strict=True):
            total = torch.baddbmm(total, columns.expand(len(part), -1, -1), part)
        means, scales = at_positions(stack[1:], total, where).chunk(2, 1)
        return means, scales


def _blocks(channels: int, count: int) -> list[nn.Module]:
    return [ResidualBottleneck(channels) for _ in range(count)]


def _attention(shape: ElicShape, channels: int) -> list[nn.Module]:
    return [AttentionBlock(channels)] if shape.attention else []


def analysis(shape: ElicShape) -> nn.Sequential:
    """The analysis transform: images to y at 1/16 of their size."""
    (half, quarter, eighth), blocks = shape.widths, shape.blocks
    return nn.Sequential(
        conv(3, half),
        *_blocks(half, blocks[0]),
        conv(half, quarter),
        *_blocks(quarter, blocks[1]),
        *_attention(shape, quarter),
        conv(quarter, eighth),
        *_blocks(eighth, blocks[2]),
        conv(eighth, shape.latent, kernel=shape.latent_kernel),
        *_attention(shape, shape.latent),
    )


def _synthesis(shape: ElicShape) -> nn.Sequential:
    half, quarter, eighth = shape.widths
    blocks = shape.synthesis_blocks or shape.blocks
    return nn.Sequential(
        *_attention(shape, shape.latent),
        deconv(shape.latent, eighth, kernel=shape.latent_kernel),
        *_blocks(eighth, blocks[2]),
        deconv(eighth, quarter),
        *_attention(shape, quarter),
        *_blocks(quarter, blocks[1]),
        deconv(quarter, half),
        *_blocks(half, blocks[0]),
        deconv(half, 3),
    )


def _channel_context(shape: ElicShape, index: int) -> nn.Sequential:
    known = shape.slices[0] + (shape.slices[index - 1] if index > 1 else 0)
    first, second = shape.context
    kernel = shape.context_kernel
    return nn.Sequential(
        conv(known, first, kernel=kernel, stride=1),
        nn.ReLU(),
        conv(first, second, kernel=kernel, stride=1),
        nn.ReLU(),
        conv(second, 2 * shape.slices[index], kernel=kernel, stride=1),
    )


def _aggregation(shape: ElicShape, index: int) -> nn.Sequential:
    channels = shape.slices[index]
    known = 2 * shape.latent + 2 * channels + (2 * channels if index > 0 else 0)
    first, second = shape.aggregation
    return nn.Sequential(
        nn.Conv2d(known, first, 1),
        nn.ReLU(),
        nn.Conv2d(first, second, 1),
        nn.ReLU(),
        nn.Conv2d(second, 2 * channels, 1),
    )

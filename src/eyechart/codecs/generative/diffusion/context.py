"""The contexts of DiffEIC and RDEIC: uneven slices of y, each in two passes over a checkerboard.

As in ELIC (arXiv 2203.10886), with separate networks for each pass. Parameter names are those of
the published code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eyechart.codecs.generative.diffusion.blocks import conv1, with_gelu
from eyechart.codecs.learned.coding import LatentCoder
from eyechart.codecs.learned.layers import at_positions, bias_of, checkerboard, conv

_FIRST_WEIGHTS = 0.1  # of random ones
_WIDTHS = (224, 128)  # of the published networks


class SliceContext(nn.Module):
    """Means and scales of y, from the hyper parameters and what is known of y.

    slices: channels of each. hyper: channels of the hyper parameters. widths: of the networks that
    take earlier slices.
    """

    def __init__(
        self, slices: Sequence[int], hyper: int, *, widths: tuple[int, int] = _WIDTHS
    ) -> None:
        super().__init__()
        self._slices = list(slices)
        self.local_context = nn.ModuleList(
            conv(channels, 2 * channels, stride=1) for channels in slices
        )
        self.channel_context = nn.ModuleList(
            _known(sum(slices[:place]), widths, 2 * channels) if place else nn.Identity()
            for place, channels in enumerate(slices)
        )
        self.entropy_parameters_anchor = nn.ModuleList(
            _parameters(hyper + (2 * channels if place else 0), 2 * channels)
            for place, channels in enumerate(slices)
        )
        self.entropy_parameters_nonanchor = nn.ModuleList(
            _parameters(hyper + (4 * channels if place else 2 * channels), 2 * channels)
            for place, channels in enumerate(slices)
        )

    def code(self, coder: LatentCoder, y: Tensor | None, hyper: Tensor) -> Tensor:
        """Pass y (None when decoding) to a coder, slice by slice, anchors first; -> y_hat."""
        height, width = hyper.shape[2:]
        anchors = ~checkerboard(height, width, hyper.device)
        count = len(self._slices)
        slices = [None] * count if y is None else torch.split(y, self._slices, 1)
        done: list[Tensor] = []
        for place, part in enumerate(slices):
            support = hyper
            if place:
                support = torch.cat([self.channel_context[place](torch.cat(done, 1)), hyper], 1)
            scales, means = _at(self.entropy_parameters_anchor[place], support, anchors)
            first = coder.gaussian(part, means, scales, anchors)
            support = torch.cat([self.local_context[place](first), support], 1)
            scales, means = _at(self.entropy_parameters_nonanchor[place], support, ~anchors)
            done.append(first + coder.gaussian(part, means, scales, ~anchors))
        return torch.cat(done, 1)

    @torch.no_grad()
    def start(self, deviations: Tensor) -> None:
        """Set the first weights: means about 0 and these scales, whatever is known. (channels,)"""
        parts = torch.split(deviations, self._slices)
        for part, layers in zip(parts, self._lasts(), strict=True):
            for layer in layers:
                layer.weight.mul_(_FIRST_WEIGHTS)
                bias_of(layer).copy_(torch.cat([part, torch.zeros_like(part)]))

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """Change the weights for a y that is multiplied by a factor. The hyper parameters stay."""
        for layers in self._lasts():
            for layer in layers:
                layer.weight.mul_(factor)
                bias_of(layer).mul_(factor)
        takes_y = [*self.local_context]
        takes_y += [stack.get_submodule("0") for stack in self.channel_context[1:]]
        for layer in takes_y:
            assert isinstance(layer, nn.Conv2d)
            layer.weight.div_(factor)

    def _lasts(self) -> list[list[nn.Conv2d]]:
        """The layers that give scales and means, for each slice those of both passes."""
        found = []
        pairs = zip(self.entropy_parameters_anchor, self.entropy_parameters_nonanchor, strict=True)
        for pair in pairs:
            layers = [stack.get_submodule("4") for stack in pair]
            found.append([layer for layer in layers if isinstance(layer, nn.Conv2d)])
        return found


def _at(parameters: nn.Module, support: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Scales and means at some positions, 0 at the others."""
    scales, means = at_positions(parameters, support[:, :, where], where).chunk(2, 1)
    return scales, means


def _known(inputs: int, widths: tuple[int, int], outputs: int) -> nn.Sequential:
    first, second = widths
    sizes = ((inputs, first), (first, second), (second, outputs))
    return with_gelu(*(conv(before, after, stride=1) for before, after in sizes))


def _parameters(inputs: int, outputs: int) -> nn.Sequential:
    first, second = outputs * 5 // 3, outputs * 4 // 3
    return with_gelu(conv1(inputs, first), conv1(first, second), conv1(second, outputs))

"""TIC, transformer-based image compression (Lu et al., DCC 2022, arXiv 2204.11448).

The full-size network follows the authors' code (https://github.com/lumingzzz/TIC): its checkpoints
load after a rename. `TicShape` scales the same network down.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.learned.coding import Estimator, LatentCoder, Size
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.layers import bias_of, conv, deconv
from eyechart.codecs.learned.principal import FIRST_BRANCHES, latent_gain, start_linear
from eyechart.codecs.learned.swin import (
    Mlp,
    ResidualSwin,
    attend,
    relative_positions,
    scale_branches,
)

_CONTEXT = 5  # side of the window that a latent element's context is taken from
_CONTEXT_HEADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TicShape:
    """The sizes of a TIC network. The defaults are those of the authors' code.

    width: channels of the transforms and of z. latent: channels of y. depths, heads: transformer
    blocks and their heads at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image's size. window: side at
    the first three, half of it at the others.
    """

    width: int = 128
    latent: int = 192
    depths: tuple[int, int, int, int, int] = (2, 4, 6, 2, 2)
    heads: tuple[int, int, int, int, int] = (4, 8, 16, 16, 16)
    window: int = 8
    mlp_ratio: float = 4.0


class CausalAttention(nn.Module):
    """Context of a latent element from the 12 elements before it in a 5x5 window.

    Elements are in raster order. Elements that are unknown or outside are zero.
    """

    relative_position_index: Tensor
    known: Tensor

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        table = torch.zeros((2 * _CONTEXT - 1) ** 2, _CONTEXT_HEADS)
        self.relative_position_bias_table = nn.Parameter(table)
        index = relative_positions(_CONTEXT)
        self.register_buffer("relative_position_index", index, persistent=False)
        known = (torch.arange(_CONTEXT**2) < _CONTEXT**2 // 2).float()[:, None]
        self.register_buffer("known", known, persistent=False)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, 4 * channels)
        self.proj = nn.Linear(channels, outputs)

    def forward(self, y_hat: Tensor) -> Tensor:
        """Contexts of all elements: (batch, channels, height, width) -> (batch, outputs, ...)."""
        batch, channels, height, width = y_hat.shape
        unfolded = F.unfold(y_hat, _CONTEXT, padding=_CONTEXT // 2)
        windows = unfolded.reshape(batch, channels, _CONTEXT**2, -1).permute(0, 3, 2, 1)
        found = self.of_windows(windows.reshape(-1, _CONTEXT**2, channels))
        return found.reshape(batch, height, width, -1).permute(0, 3, 1, 2)

    def of_windows(self, windows: Tensor) -> Tensor:
        """Contexts of the middle elements of windows: (n, 25, channels) -> (n, outputs)."""
        windows = windows * self.known
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        seen = windows + attend(self.qkv(self.norm1(windows)), _CONTEXT_HEADS, bias)
        total = seen.sum(1)
        found: Tensor = self.proj(total + self.mlp(self.norm2(total)))
        return found


def _entropy_parameters(latent: int) -> nn.Sequential:
    """Context and hyperprior -> means and scales."""
    return nn.Sequential(
        nn.Conv2d(4 * latent, latent * 10 // 3, 1),
        nn.GELU(),
        nn.Conv2d(latent * 10 // 3, latent * 8 // 3, 1),
        nn.GELU(),
        nn.Conv2d(latent * 8 // 3, 2 * latent, 1),
    )


class Tic(nn.Module):
    """The network: transforms g_a, g_s, hyper transforms h_a, h_s, and the context of y.

    `forward` takes images (batch, 3, height, width) in 0..1 and returns the reconstruction and
    the likelihoods of `y` and `z`. Sides are multiples of 128, or of 8 windows where there are no
    blocks at 1/16 and 1/32.
    """

    def __init__(self, shape: TicShape = TicShape()) -> None:
        super().__init__()
        self.shape = shape
        width, latent = shape.width, shape.latent

        def swin(place: int) -> ResidualSwin:
            return ResidualSwin(
                width,
                depth=shape.depths[place],
                heads=shape.heads[place],
                window=shape.window if place < 3 else shape.window // 2,
                mlp_ratio=shape.mlp_ratio,
            )

        self.g_a = nn.Sequential(
            conv(3, width),
            swin(0),
            conv(width, width, kernel=3),
            swin(1),
            conv(width, width, kernel=3),
            swin(2),
            conv(width, latent, kernel=3),
        )
        self.h_a = nn.Sequential(
            conv(latent, width, kernel=3, stride=1),
            swin(3),
            conv(width, width, kernel=3),
            swin(4),
            conv(width, width, kernel=3),
        )
        self.h_s = nn.Sequential(
            deconv(width, width, kernel=3),
            swin(4),
            deconv(width, width, kernel=3),
            swin(3),
            conv(width, 2 * latent, kernel=3, stride=1),
        )
        self.g_s = nn.Sequential(
            deconv(latent, width, kernel=3),
            swin(2),
            deconv(width, width, kernel=3),
            swin(1),
            deconv(width, width, kernel=3),
            swin(0),
            deconv(width, 3),
        )
        self.entropy_bottleneck = EntropyBottleneck(width)
        self.context_prediction = CausalAttention(latent, 2 * latent)
        self.entropy_parameters = _entropy_parameters(latent)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """As in training by the authors: context and decoder take y rounded, not about its mean."""
        estimator = Estimator(training=self.training)
        y = self.g_a(x)
        z_hat = estimator.bottleneck(self.h_a(y), self.entropy_bottleneck, _z_size(y))
        y_hat = y + torch.rand_like(y) - 0.5 if self.training else y.round()
        means, scales = self._means_scales(self.h_s(z_hat), self.context_prediction(y_hat))
        estimator.gaussian(y, means, scales)
        (y_likelihoods,), (z_likelihoods,) = estimator.y_likelihoods, estimator.z_likelihoods
        return self.g_s(y_hat), {"y": y_likelihoods, "z": z_likelihoods}

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor:
        """Pass z and then y to a coder, along diagonals; both are None when decoding.

        An element needs those up to two columns to the right in the two rows above, so all with
        equal `column + 3 * row` are coded together. size: height and width of y.
        """
        height, width = size
        z_hat = coder.bottleneck(z, self.entropy_bottleneck, (-(-height // 4), -(-width // 4)))
        hyper = self.h_s(z_hat)[:, :, :height, :width]
        batch, latent = len(hyper), self.shape.latent
        around = _CONTEXT // 2
        padded = hyper.new_zeros(batch, latent, height + 2 * around, width + 2 * around)
        offsets = torch.arange(_CONTEXT, device=hyper.device)
        for step in range(width + 3 * (height - 1)):
            rows = torch.arange(max(0, -(-(step - width + 1) // 3)), min(height, step // 3 + 1))
            if not len(rows):  # a latent of one or two columns has gaps
                continue
            rows = rows.to(hyper.device)
            columns = step - 3 * rows
            window = (rows[:, None, None] + offsets[:, None], columns[:, None, None] + offsets)
            windows = padded[:, :, window[0], window[1]].permute(0, 2, 3, 4, 1)
            context = self.context_prediction.of_windows(
                windows.reshape(-1, _CONTEXT**2, latent)
            ).reshape(batch, 1, len(rows), -1)
            means, scales = self._means_scales(
                hyper[:, :, rows, columns][:, :, None], context.permute(0, 3, 1, 2)
            )
            here = None if y is None else y[:, :, rows, columns][:, :, None]
            coded = coder.gaussian(here, means, scales)
            padded[:, :, rows + around, columns + around] = coded[:, :, 0]
        y_hat: Tensor = padded[:, :, around : around + height, around : around + width]
        return y_hat

    @torch.no_grad()
    def start(self, images: Tensor, lmbda: float) -> None:
        """Set the first weights for training: the transforms as principal component transforms.

        images: (batch, 3, height, width) in 0..1 to learn from. lmbda: weight of the distortion,
        which sets the size of y.
        """
        down = [layer for layer in self.g_a if isinstance(layer, nn.Conv2d)]
        up = [layer for layer in self.g_s if isinstance(layer, nn.ConvTranspose2d)]
        y = start_linear(down, up[::-1], images, gain=latent_gain(lmbda))
        scale_branches(self, FIRST_BRANCHES)
        # Blocks that change nothing, with the residual connection around them, double their input.
        for after in (*down[1:], *up[1:]):
            after.weight.mul_(0.5)
        last = self.entropy_parameters.get_submodule("4")
        assert isinstance(last, nn.Conv2d)
        last.weight.mul_(0.1)
        scale = y.std((0, 2, 3))
        bias_of(last).copy_(torch.cat([scale, torch.zeros_like(scale)]))

    @torch.no_grad()
    def scale_latent(self, factor: float) -> None:
        """Multiply y by a factor that the synthesis divides by: only the rounding of y changes.

        So weights trained for one lambda are a good start for another one: the best quantisation
        step is proportional to 1 / sqrt(lambda).
        """
        context, parameters = self.context_prediction, self.entropy_parameters
        for layer in (self.g_a[-1], parameters.get_submodule("4"), context.mlp.fc2):
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            assert layer.bias is not None
            layer.weight.mul_(factor)
            layer.bias.mul_(factor)
        values = slice(2 * self.shape.latent, None)  # the layer norms before are free of scale
        context.qkv.weight[values].mul_(factor)
        context.qkv.bias[values].mul_(factor)
        for layer in (self.g_s[0], self.h_a[0], context.proj):
            assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
            layer.weight.div_(factor)

    def _means_scales(self, hyper: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        scales, means = self.entropy_parameters(torch.cat([hyper, context], 1)).chunk(2, 1)
        return means, scales


def _z_size(y: Tensor) -> Size:
    return -(-y.shape[2] // 4), -(-y.shape[3] // 4)

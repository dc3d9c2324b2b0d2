"""TCM, mixed transformer-CNN image compression (Liu et al., CVPR 2023, arXiv 2303.14978).

The full-size network follows the authors' code (https://github.com/jmliu206/LIC_TCM): its
checkpoints load after a rename. `TcmShape` scales the same network down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eyechart.codecs.learned.coding import Estimator, LatentCoder, Size
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.layers import AttentionBlock, conv
from eyechart.codecs.learned.residual import Residual, ResidualDown, ResidualUp, subpixel
from eyechart.codecs.learned.swin import SwinBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class TcmShape:
    """The sizes of a TCM network. The defaults are those of the authors' small network (N = 64).

    width: channels of the convolutional half of a block, and of its transformer half. depth: blocks
    at each of 1/2, 1/4, 1/8 and 1/32. head: channels of an attention head at 1/2, 1/4 and 1/8.
    latent: channels of y. slices: parts that y is coded in. hyper: channels of z. context: widths
    of the slice networks. attention: channels of their attention, attention_head of a head.
    window: side at 1/2 to 1/16, half of it at 1/32.
    """

    width: int = 64
    depth: int = 2
    head: tuple[int, int, int] = (8, 16, 32)
    hyper_head: int = 32
    latent: int = 320
    slices: int = 5
    hyper: int = 192
    context: tuple[int, int] = (224, 128)
    attention: int = 128
    attention_head: int = 16
    window: int = 8

    @property
    def variant(self) -> str:
        """The variant of the authors' two networks."""
        return f"N = {self.width}"

    @property
    def slice(self) -> int:
        return self.latent // self.slices


def shape_of(tensors: Mapping[str, Tensor]) -> TcmShape:
    """The size that a full-size checkpoint, under this package's keys, is of: N = 64 or 128."""
    first = tensors.get("g_a.0.conv1.weight")
    return TcmShape(width=128 if first is not None and len(first) == 256 else 64)


class _Mixed(nn.Module):
    """One half of the channels through a residual block, the other through a Swin block."""

    def __init__(self, width: int, *, head: int, window: int, shift: int) -> None:
        super().__init__()
        self.trans_block = SwinBlock(
            width, width // head, window=window, shift=shift, mlp_ratio=4.0
        )
        self.conv1_1 = nn.Conv2d(2 * width, 2 * width, 1)
        self.conv1_2 = nn.Conv2d(2 * width, 2 * width, 1)
        self.conv_block = Residual(width, width)

    def forward(self, x: Tensor) -> Tensor:
        local, wide = self.conv1_1(x).chunk(2, 1)
        local = local + self.conv_block(local)
        wide = self.trans_block(wide.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        out: Tensor = x + self.conv1_2(torch.cat([local, wide], 1))
        return out


class _SwinPair(nn.Module):
    """Two Swin blocks, the second one shifted by half a window."""

    def __init__(self, channels: int, *, head: int, window: int) -> None:
        super().__init__()
        heads = channels // head
        self.block_1 = SwinBlock(channels, heads, window=window, shift=0, mlp_ratio=4.0)
        self.block_2 = SwinBlock(channels, heads, window=window, shift=window // 2, mlp_ratio=4.0)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.block_2(self.block_1(x.permute(0, 2, 3, 1)))
        return found.permute(0, 3, 1, 2)


class _SliceAttention(AttentionBlock):
    """The attention block in fewer channels, its gate from Swin blocks (SWAtten)."""

    def __init__(self, channels: int, shape: TcmShape) -> None:
        super().__init__(shape.attention)
        self.non_local_block = _SwinPair(
            shape.attention, head=shape.attention_head, window=shape.window
        )
        self.in_conv = nn.Conv2d(channels, shape.attention, 1)
        self.out_conv = nn.Conv2d(shape.attention, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.in_conv(x)
        gate = torch.sigmoid(self.conv_b(self.non_local_block(x)))
        out: Tensor = self.out_conv(x + self.conv_a(x) * gate)
        return out


class Tcm(nn.Module):
    """The network: transforms g_a, g_s, hyper transforms, and the networks of each slice of y.

    `forward` takes images (batch, 3, height, width) in 0..1 and returns the reconstruction and
    the likelihoods of `y` and `z`. Sides are multiples of 16 windows.
    """

    def __init__(self, shape: TcmShape = TcmShape()) -> None:
        super().__init__()
        self.shape = shape
        both = 2 * shape.width

        def mixed(head: int, window: int) -> list[nn.Module]:
            shifts = (0 if index % 2 == 0 else window // 2 for index in range(shape.depth))
            return [_Mixed(shape.width, head=head, window=window, shift=shift) for shift in shifts]

        first, second, third = (mixed(head, shape.window) for head in shape.head)
        self.g_a = nn.Sequential(
            ResidualDown(3, both),
            *first,
            ResidualDown(both, both),
            *second,
            ResidualDown(both, both),
            *third,
            conv(both, shape.latent, kernel=3),
        )
        third, second, first = (mixed(head, shape.window) for head in reversed(shape.head))
        self.g_s = nn.Sequential(
            ResidualUp(shape.latent, both),
            *third,
            ResidualUp(both, both),
            *second,
            ResidualUp(both, both),
            *first,
            subpixel(both, 3),
        )

        def hyper() -> list[nn.Module]:
            return mixed(shape.hyper_head, shape.window // 2)

        self.h_a = nn.Sequential(
            ResidualDown(shape.latent, both), *hyper(), conv(both, shape.hyper, kernel=3)
        )
        self.h_mean_s = nn.Sequential(
            ResidualUp(shape.hyper, both), *hyper(), subpixel(both, shape.latent)
        )
        self.h_scale_s = nn.Sequential(
            ResidualUp(shape.hyper, both), *hyper(), subpixel(both, shape.latent)
        )
        self._add_slice_networks(shape)
        self.entropy_bottleneck = EntropyBottleneck(shape.hyper)

    def _add_slice_networks(self, shape: TcmShape) -> None:
        """The networks of each slice of y. They get the slices before it, `lrp_transforms` also the
        slice."""
        known = [shape.latent + index * shape.slice for index in range(shape.slices + 1)]
        before, after = known[:-1], known[1:]

        def attention(channels: int) -> nn.Sequential:
            return nn.Sequential(_SliceAttention(channels, shape))

        self.atten_mean = nn.ModuleList(map(attention, before))
        self.atten_scale = nn.ModuleList(map(attention, before))
        self.cc_mean_transforms = nn.ModuleList(_slice_network(n, shape) for n in before)
        self.cc_scale_transforms = nn.ModuleList(_slice_network(n, shape) for n in before)
        self.lrp_transforms = nn.ModuleList(_slice_network(n, shape) for n in after)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        estimator = Estimator(training=self.training)
        y = self.g_a(x)
        y_hat = self.code_latent(estimator, y, self.h_a(y), (y.shape[2], y.shape[3]))
        y_likelihoods = torch.cat(estimator.y_likelihoods, 1)
        return self.g_s(y_hat), {"y": y_likelihoods, "z": estimator.z_likelihoods[0]}

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor:
        """Pass z and then y to a coder, slice by slice; both are None when decoding.

        size: height and width of y. Returns y_hat (batch, latent, height, width), each slice with
        the rounding error that its residual network predicts.
        """
        z_hat = coder.bottleneck(z, self.entropy_bottleneck, (size[0] // 4, size[1] // 4))
        hyper_means, hyper_scales = self.h_mean_s(z_hat), self.h_scale_s(z_hat)
        slices = [None] * self.shape.slices if y is None else y.chunk(self.shape.slices, 1)
        done: list[Tensor] = []
        for index, y_slice in enumerate(slices):
            mean_support = self.atten_mean[index](torch.cat([hyper_means, *done], 1))
            scale_support = self.atten_scale[index](torch.cat([hyper_scales, *done], 1))
            means = self.cc_mean_transforms[index](mean_support)
            scales = self.cc_scale_transforms[index](scale_support)
            y_hat = coder.gaussian(y_slice, means, scales)
            residual = self.lrp_transforms[index](torch.cat([mean_support, y_hat], 1))
            done.append(y_hat + 0.5 * torch.tanh(residual))
        return torch.cat(done, 1)


def _slice_network(inputs: int, shape: TcmShape) -> nn.Sequential:
    """From all that is known of a slice to its means, scales or rounding errors."""
    first, second = shape.context
    return nn.Sequential(
        conv(inputs, first, kernel=3, stride=1),
        nn.GELU(),
        conv(first, second, kernel=3, stride=1),
        nn.GELU(),
        conv(second, shape.slice, kernel=3, stride=1),
    )

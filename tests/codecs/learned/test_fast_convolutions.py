"""The fast convolutions of wide networks compute what the usual ones compute."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from torch import Tensor, nn  # noqa: E402

from eyechart.codecs.learned import fast_convolutions  # noqa: E402
from eyechart.codecs.learned.architecture import Architecture  # noqa: E402
from eyechart.codecs.learned.elic import Elic, ElicShape  # noqa: E402
from eyechart.codecs.learned.neural import LoadedNetwork  # noqa: E402
from eyechart.codecs.learned.winograd import WinogradConv  # noqa: E402
from eyechart.core.types import Level, Rgb8  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402
from tests.codecs.learned.threads import torch_threads  # noqa: E402

# All kinds of layers of the full network, which `MINI` does not have.
SHAPE = ElicShape(
    widths=(32, 32, 48), blocks=(1, 1, 1), slices=(8, 8, 16), hyper=(16, 24), context=(24, 16),
    aggregation=(32, 24),
)  # fmt: skip
WIDE = Architecture(name="wide", build=lambda: Elic(SHAPE), multiple=64, padding="zeros", wide=True)
LEVEL = Level(name="1", rank=0, knobs={}, weights="00" * 32)


@pytest.fixture(scope="module")
def network() -> Elic:
    torch.manual_seed(7)
    network = Elic(SHAPE).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        network.g_a[-2].weight.mul_(6 / network.g_a(x).std())
        for aggregation in network.ParamAggregation:
            aggregation[-1].bias.fill_(2)
    network.entropy_bottleneck.update_quantiles()
    return network


@pytest.fixture(scope="module")
def images() -> list[Rgb8]:
    rng = np.random.default_rng(3)
    return [sample_image(*size, rng) for size in ((1, 1), (64, 64), (70, 131), (64, 64))]


def x_of(height: int, width: int, channels: int = 3, count: int = 2) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("vendor", "family", "said"),
    [("AuthenticAMD", 25, True), ("AuthenticAMD", 26, False), ("GenuineIntel", 25, False)],
)
def test_a_processor_that_halves_avx512_is_recognised(
    tmp_path: Path, vendor: str, family: int, said: bool
) -> None:
    core = f"vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: 17\npower management:\n\n"
    (tmp_path / "cpuinfo").write_text(2 * core)
    assert fast_convolutions._halves_avx512(tmp_path / "cpuinfo") is said
    assert not fast_convolutions._halves_avx512(tmp_path / "none")


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (17, 33), (8, 1700)])
def test_winograd_gives_what_the_sum_gives(kernel: int, size: tuple[int, int]) -> None:
    conv = nn.Conv2d(6, 5, kernel, padding=kernel // 2).double()
    x = x_of(*size, channels=6).double()
    with torch.inference_mode():
        found, wanted = WinogradConv(conv.weight, conv.bias)(x), conv(x)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": 0},
        {"padding": 1, "stride": 2},
        {"padding": 1, "groups": 2},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": 2, "dilation": 2},
    ],
)
def test_other_convolutions_stay_as_they_are(settings: dict[str, Any]) -> None:
    conv = nn.Conv2d(4, 4, 3, **settings)
    assert fast_convolutions.with_fast_entropy(conv) is conv
    assert fast_convolutions.with_fast_transforms(conv) is conv


@pytest.mark.parametrize("size", [(2, 2), (6, 34)])
def test_pixels_are_shuffled_as_usual(size: tuple[int, int]) -> None:
    x = x_of(*size, channels=12)
    apart = nn.functional.pixel_unshuffle(x, 2)
    assert torch.equal(fast_convolutions._unshuffled(x), apart)
    assert torch.equal(fast_convolutions._shuffled(apart), x)


@pytest.mark.parametrize("size", [(5, 7), (64, 65)])
def test_products_for_large_maps_give_what_the_convolution_gives(size: tuple[int, int]) -> None:
    conv = nn.Conv2d(24, 10, 1)
    x = x_of(*size, channels=24)
    with torch.inference_mode():
        wanted = conv(x)
        found = fast_convolutions._with_product(conv)
        assert torch.allclose(found(x), wanted, rtol=0, atol=1e-5)
        crossed = x.transpose(2, 3).contiguous().transpose(2, 3)
        assert torch.allclose(found(crossed), wanted, rtol=0, atol=1e-5)


@pytest.mark.skipif(not fast_convolutions.available(), reason="another library is faster here")
@pytest.mark.parametrize("size", [(64, 64), (80, 48), (144, 128)])  # the last with large maps
def test_the_transforms_give_the_same(network: Elic, size: tuple[int, int]) -> None:
    fast = copy.deepcopy(network)
    with torch.inference_mode():
        x = x_of(*size)
        y = network.g_a(x)
        for name, values in (("g_a", x), ("h_a", y), ("g_s", y)):
            wanted = getattr(network, name)(values)
            transform = fast_convolutions.with_fast_transforms(getattr(fast, name))
            assert torch.allclose(transform(values.clone()), wanted, rtol=1e-4, atol=1e-4)


def test_results_depend_neither_on_the_batch_nor_on_threads(
    network: Elic, images: list[Rgb8]
) -> None:
    alone, together = (
        LoadedNetwork(network, WIDE, LEVEL, "cpu", images_at_once=lambda height, width, n=n: n)
        for n in (1, 2)
    )
    with torch_threads(2):
        bitstreams = together.encode(images)
        decoded = together.decode(bitstreams)
    assert alone.encode(images) == bitstreams
    for rgb8, wanted in zip(decoded, alone.decode(bitstreams), strict=True):
        assert np.array_equal(rgb8, wanted)


def test_half_precision_depends_neither_on_the_batch_nor_on_threads(
    network: Elic, images: list[Rgb8]
) -> None:
    here, again = (
        LoadedNetwork(network, WIDE, LEVEL, "cpu", precision="bfloat16") for _ in range(2)
    )
    with torch_threads(2):
        bitstreams = here.encode(images)
        decoded = here.decode(bitstreams)
    assert [again.encode([image])[0] for image in images] == bitstreams
    for rgb8, bitstream in zip(decoded, bitstreams, strict=True):
        assert np.array_equal(rgb8, again.decode([bitstream])[0])


def test_bitstreams_decode_where_the_usual_convolutions_are_used(
    network: Elic, images: list[Rgb8]
) -> None:
    fast = LoadedNetwork(network, WIDE, LEVEL, "cpu")
    usual = LoadedNetwork(network, replace(WIDE, wide=False), LEVEL, "cpu")
    for one, other in ((fast, usual), (usual, fast)):
        bitstreams = one.encode(images)
        assert max(len(bitstream.payload) for bitstream in bitstreams) > 1000
        for here, there in zip(one.decode(bitstreams), other.decode(bitstreams), strict=True):
            assert np.abs(here.astype(int) - there).max() <= 1

"""Learned codecs on a CUDA device: `pytest -m gpu`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.codecs.learned.neural import LoadedNetwork, Precision  # noqa: E402
from eyechart.codecs.learned.plugins import ELIC, ElicMiniCodec  # noqa: E402
from eyechart.core.types import Level, Rgb8  # noqa: E402
from eyechart.testing import check_codec  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402
from tests.codecs.learned.small_networks import (  # noqa: E402
    SMALL_CODECS,
    SmallElic,
    last_of,
    write_small_weights,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICE = "cuda:0"
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")


@pytest.fixture
def fast_mathematics() -> Iterator[None]:
    """Settings of a program that asks for speed. Results must not depend on them."""
    backends = torch.backends
    before = backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    yield
    assert backends.cudnn.benchmark
    assert torch.get_float32_matmul_precision() == "high"
    backends.cudnn.benchmark = before[0]
    torch.set_float32_matmul_precision(before[1])


def pictures(count: int, sizes: tuple[tuple[int, int], ...]) -> list[Rgb8]:
    rng = np.random.default_rng(0)
    return [sample_image(*sizes[index % len(sizes)], rng) for index in range(count)]


def check_batches(loaded: LoadedNetwork, images: list[Rgb8], counts: tuple[int, ...]) -> None:
    """Batches in two orders give what single images give, and decode to the same pixels."""
    alone = [loaded.encode([image])[0] for image in images]
    decoded_alone = [loaded.decode([bitstream])[0] for bitstream in alone]
    for count in counts:
        for order in (list(range(count)), list(range(count))[::-1]):
            bitstreams = loaded.encode([images[place] for place in order])
            differ = [place for place, one in zip(order, bitstreams, strict=True)
                      if one != alone[place]]  # fmt: skip
            assert not differ, f"payloads of a batch of {count} differ at {differ}"
            decoded = loaded.decode([alone[place] for place in order])
            differ = [place for place, one in zip(order, decoded, strict=True)
                      if not np.array_equal(one, decoded_alone[place])]  # fmt: skip
            assert not differ, f"decoded images of a batch of {count} differ at {differ}"


@pytest.mark.parametrize("kind", SMALL_CODECS)
def test_small_networks_meet_the_requirements_of_a_codec(
    kind: type[SmallElic], tmp_path: Path
) -> None:
    codec = kind(weights=str(tmp_path))
    write_small_weights(codec, tmp_path)
    options = {"weights": str(tmp_path)}
    report = check_codec(codec, options=options, sizes=((1, 1), (17, 33)), device=DEVICE)
    assert f"reproducible per device, checked on {DEVICE}" in str(report)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", SMALL_CODECS)
@pytest.mark.usefixtures("fast_mathematics")
def test_batches_give_what_single_images_give(
    kind: type[SmallElic], precision: Precision, tmp_path: Path
) -> None:
    codec = kind(weights=str(tmp_path), precision=precision)
    write_small_weights(codec, tmp_path)
    loaded = codec.load(codec.levels[1], DEVICE)
    check_batches(loaded, pictures(11, ((40, 100), (128, 90))), (1, 3, 11))


@pytest.mark.parametrize("kind", SMALL_CODECS)
def test_bitstreams_of_a_cpu_decode_to_nearly_the_same_pixels(
    kind: type[SmallElic], tmp_path: Path
) -> None:
    codec = kind(weights=str(tmp_path))
    write_small_weights(codec, tmp_path)
    level = codec.levels[1]
    images = pictures(4, ((40, 100), (128, 90)))
    bitstreams = [codec.encode(image, level) for image in images]
    for bitstream, rgb8 in zip(
        bitstreams, codec.load(level, DEVICE).decode(bitstreams), strict=True
    ):
        assert np.abs(rgb8.astype(int) - codec.decode(bitstream)).max() <= 1


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_costs_little_quality(precision: Precision) -> None:
    whole, half = ElicMiniCodec(), ElicMiniCodec(precision=precision)
    images = pictures(8, ((256, 256),))

    def mse_bytes(codec: ElicMiniCodec, level: Level) -> tuple[float, int]:
        loaded = codec.load(level, DEVICE)
        bitstreams = loaded.encode(images)
        errors = [
            float(((rgb8.astype(float) - image) ** 2).mean())
            for rgb8, image in zip(loaded.decode(bitstreams), images, strict=True)
        ]
        return float(np.mean(errors)), sum(len(one.payload) for one in bitstreams)

    for level in whole.levels:
        (error, size), (half_error, half_size) = mse_bytes(whole, level), mse_bytes(half, level)
        assert half_error < 1.05 * error, level.name
        assert half_size < 1.02 * size, level.name


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_full_size_network_gives_in_batches_what_it_gives_alone(precision: Precision) -> None:
    torch.manual_seed(0)
    network = ELIC.build().eval()
    with torch.no_grad():
        last_of(network).mul_(30)
    level = Level(name="1", rank=0, knobs={}, weights="00" * 32)
    loaded = LoadedNetwork(network, ELIC, level, DEVICE, precision=precision)
    check_batches(loaded, pictures(5, ((512, 768),)), (5,))
    check_batches(loaded, pictures(10, ((224, 224),)), (10,))


def test_a_large_image_goes_through_in_tiles() -> None:
    codec = ElicMiniCodec()
    loaded = codec.load(codec.levels[-1], DEVICE)
    images = pictures(2, ((1700, 1600),))
    bitstreams = loaded.encode(images)
    for one, image, rgb8 in zip(bitstreams, images, loaded.decode(bitstreams), strict=True):
        assert rgb8.shape == image.shape
        assert np.array_equal(rgb8, loaded.decode([one])[0])

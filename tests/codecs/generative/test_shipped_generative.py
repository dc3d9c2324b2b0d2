"""The shipped illm-mini and rdeic-mini: four levels with rising rate and quality, below JPEG's
rate, that decode to the same image everywhere."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.codecs.generative.diffusion.plugins import RdeicMiniCodec  # noqa: E402
from eyechart.codecs.generative.plugins import IllmMiniCodec  # noqa: E402
from eyechart.codecs.learned.neural import NetworkCodec  # noqa: E402
from eyechart.core import plugins  # noqa: E402
from eyechart.core.hooks import facts_of  # noqa: E402
from eyechart.core.types import Codec, LoadedCodec, Rgb8, Task  # noqa: E402
from eyechart.quality import open_metric  # noqa: E402
from eyechart.testing import check_codec  # noqa: E402

SHIPPED = ("illm-mini", "rdeic-mini")


class Estimates(LoadedCodec, Protocol):
    def estimate_bits(self, images: list[Rgb8]) -> list[float]: ...


@pytest.fixture(params=SHIPPED)
def codec(request: pytest.FixtureRequest) -> NetworkCodec:
    found: NetworkCodec = plugins.load("eyechart.codecs", request.param)
    return found


@pytest.fixture(scope="module")
def images() -> list[Rgb8]:
    task: Task = plugins.load("eyechart.tasks", "POPE", {"data": "eyechart-mini"})
    keys = list(dict.fromkeys(question.image for question in task.questions()))
    return [task.image(key) for key in keys[:4]]


def curve(codec: Codec, images: list[Rgb8]) -> list[tuple[float, float]]:
    """Mean bpp and PSNR (dB) of each level."""
    psnr = open_metric("psnr")
    points = []
    for level in codec.levels:
        streams = [codec.encode(image, level) for image in images]
        pairs = zip(images, streams, strict=True)
        quality = [psnr.measure(image, codec.decode(stream)) for image, stream in pairs]
        points.append((float(np.mean([s.bpp for s in streams])), float(np.mean(quality))))
    return points


def test_rate_and_quality_rise_and_beat_jpeg(codec: NetworkCodec, images: list[Rgb8]) -> None:
    points = curve(codec, images)
    assert len(points) == 4
    assert 0.01 < points[0][0] < 0.06
    assert points[-1][0] > 3 * points[0][0]
    assert all(low[0] < high[0] and low[1] < high[1] for low, high in pairwise(points))
    jpeg: Codec = plugins.load("eyechart.codecs", "jpeg")
    (jpeg_bpp, jpeg_psnr_db), *_ = curve(jpeg, images)
    assert points[-1][0] < jpeg_bpp
    assert points[-1][1] > jpeg_psnr_db + 3


def test_the_rate_is_what_the_likelihoods_say(codec: NetworkCodec, images: list[Rgb8]) -> None:
    image = np.tile(images[0], (2, 2, 1))[:256, :256]
    for level in codec.levels:
        loaded: Estimates = codec.load(level, "cpu")  # type: ignore[assignment]
        size = len(loaded.encode([image])[0].payload)
        (bits,) = loaded.estimate_bits([image])
        header = 24  # bytes, with the checksum and the end of the range coder's last word
        assert abs(size - bits / 8) < 0.01 * bits / 8 + header


def test_it_meets_the_requirements_of_a_codec(codec: NetworkCodec) -> None:
    codec.check()
    check_codec(codec, sizes=((1, 1), (17, 33)))


def test_threads_and_batches_change_nothing(codec: NetworkCodec, images: list[Rgb8]) -> None:
    threads = torch.get_num_threads()
    loaded = codec.load(codec.levels[0], "cpu")
    try:
        torch.set_num_threads(2)
        streams = loaded.encode(images)
        decoded = loaded.decode(streams)
        torch.set_num_threads(1)
        for image, stream, rgb8 in zip(images, streams, decoded, strict=True):
            assert loaded.encode([image]) == [stream]
            assert np.array_equal(loaded.decode([stream])[0], rgb8)
    finally:
        torch.set_num_threads(threads)


def test_it_is_generative(codec: NetworkCodec) -> None:
    assert facts_of(codec).category == "generative"


def test_the_weights_take_less_than_their_share_of_the_package() -> None:
    folders = [kind().folder for kind in (IllmMiniCodec, RdeicMiniCodec)]
    sizes = [file.stat().st_size for folder in folders for file in folder.iterdir()]
    assert sum(sizes) < 20_000_000

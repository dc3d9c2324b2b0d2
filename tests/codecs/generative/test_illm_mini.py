"""The shipped illm-mini: four levels with rising rate and quality, below JPEG's rate, that decode
to the same image everywhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.codecs.generative.plugins import IllmMiniCodec
from eyechart.core import plugins
from eyechart.core.hooks import facts_of
from eyechart.core.types import Codec, Rgb8, Task
from eyechart.quality import open_metric
from eyechart.testing import check_codec


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


def test_rate_and_quality_rise_and_beat_jpeg(images: list[Rgb8]) -> None:
    points = curve(IllmMiniCodec(), images)
    assert len(points) == 4
    assert 0.01 < points[0][0] < 0.04
    assert 0.1 < points[-1][0] < 0.25
    assert all(low[0] < high[0] and low[1] < high[1] for low, high in pairwise(points))
    jpeg: Codec = plugins.load("eyechart.codecs", "jpeg")
    (jpeg_bpp, jpeg_psnr_db), *_ = curve(jpeg, images)
    assert points[-1][0] < jpeg_bpp
    assert points[-1][1] > jpeg_psnr_db + 3


def test_the_rate_is_what_the_likelihoods_say(images: list[Rgb8]) -> None:
    codec = IllmMiniCodec()
    image = np.tile(images[0], (2, 2, 1))[:256, :256]
    for level in codec.levels:
        loaded = codec.load(level, "cpu")
        size = len(loaded.encode([image])[0].payload)
        (bits,) = loaded.estimate_bits([image])
        header = 24  # bytes, with the checksum and the end of the range coder's last word
        assert abs(size - bits / 8) < 0.01 * bits / 8 + header


def test_it_meets_the_requirements_of_a_codec() -> None:
    codec = IllmMiniCodec()
    codec.check()
    check_codec(codec, sizes=((1, 1), (17, 33)))


def test_it_is_generative() -> None:
    assert facts_of(IllmMiniCodec()).category == "generative"


def test_the_weights_take_less_than_their_share_of_the_package() -> None:
    folder = IllmMiniCodec().folder
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000_000

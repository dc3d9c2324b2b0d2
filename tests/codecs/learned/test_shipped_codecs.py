"""The shipped weights: four levels with rising rate and quality, in files of limited size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.codecs.learned.neural import NetworkCodec
from eyechart.codecs.learned.plugins import ElicMiniCodec, TicMiniCodec, TransticMiniCodec
from eyechart.core import plugins
from eyechart.core.types import Codec, Rgb8, Task
from eyechart.quality import open_metric
from eyechart.testing import check_codec


@pytest.fixture(scope="module")
def images() -> list[Rgb8]:
    task: Task = plugins.load("eyechart.tasks", "POPE", {"data": "eyechart-mini"})
    keys = list(dict.fromkeys(question.image for question in task.questions()))
    return [task.image(key) for key in keys[:4]]


@pytest.mark.parametrize("kind", [ElicMiniCodec, TicMiniCodec])
def test_rate_and_quality_rise_and_beat_jpeg(
    kind: type[ElicMiniCodec] | type[TicMiniCodec], images: list[Rgb8]
) -> None:
    psnr = open_metric("psnr")

    def curve(codec: Codec) -> list[tuple[float, float]]:
        points = []
        for level in codec.levels:
            streams = [codec.encode(image, level) for image in images]
            quality = [
                psnr.measure(image, codec.decode(stream))
                for image, stream in zip(images, streams, strict=True)
            ]
            points.append((float(np.mean([s.bpp for s in streams])), float(np.mean(quality))))
        return points

    points = curve(kind())
    assert len(points) == 4
    assert 0.02 < points[0][0] < 0.12
    assert 0.2 < points[-1][0] < 0.6
    assert all(low[0] < high[0] and low[1] < high[1] for low, high in pairwise(points))
    jpeg: Codec = plugins.load("eyechart.codecs", "jpeg", {"levels": [8, 20, 40]})
    rates, qualities = zip(*points, strict=True)
    for bpp, psnr_db in curve(jpeg):
        if qualities[0] < psnr_db < qualities[-1]:
            assert np.interp(psnr_db, qualities, np.log(rates)) < np.log(0.8 * bpp)


def test_the_rate_is_what_the_likelihoods_say(images: list[Rgb8]) -> None:
    codec = ElicMiniCodec()
    image = np.tile(images[0], (2, 2, 1))[:256, :256]
    for level in codec.levels:
        loaded = codec.load(level, "cpu")
        size = len(loaded.encode([image])[0].payload)
        (bits,) = loaded.estimate_bits([image])
        header = 24  # bytes, with the checksum and the end of the range coder's last word
        assert abs(size - bits / 8) < 0.01 * bits / 8 + header


@pytest.mark.parametrize("codec", [ElicMiniCodec(), TicMiniCodec(), TransticMiniCodec()])
def test_it_meets_the_requirements_of_a_codec(codec: NetworkCodec) -> None:
    codec.check()
    check_codec(codec, sizes=((1, 1), (17, 33)))


def test_the_weights_take_less_than_their_share_of_the_package() -> None:
    def size(codec: NetworkCodec) -> int:
        return sum(file.stat().st_size for file in codec.folder.iterdir())

    assert size(ElicMiniCodec()) + size(TicMiniCodec()) < 16_000_000
    assert size(TransticMiniCodec()) < 7_000_000

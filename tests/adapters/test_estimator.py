"""The estimator: what it reads in pixels, and that it learns from few images."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from eyechart.adapters.estimator import ConditionEstimator, statistics
from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.images import find_images, read_image


def shown(folder: Path) -> torch.Tensor:
    """Ten images, each as it is and at JPEG quality 1: (20, 3, H, W)."""
    codec = JpegCodec()
    pictures = []
    for path in find_images(folder)[0]:
        clean = read_image(path)
        pictures += [clean, codec.decode(codec.encode(clean, codec.levels[0]))]
    stacked = torch.stack([torch.from_numpy(picture) for picture in pictures])
    return (stacked.permute(0, 3, 1, 2).float() - 128) / 64


def test_it_distinguishes_compressed_images_after_a_few_steps(image_folder: Path) -> None:
    pictures, labels = shown(image_folder), torch.arange(20) % 2
    estimator = ConditionEstimator(2)
    optimizer = torch.optim.AdamW(estimator.parameters(), lr=1e-2)
    for _ in range(30):
        cross_entropy(estimator(pictures[:12]), labels[:12]).backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        assert torch.equal(estimator(pictures[12:]).argmax(-1), labels[12:])


def test_images_of_all_sizes_are_read_alike(image_folder: Path) -> None:
    pictures = list(shown(image_folder)[:3])
    small = [*pictures, pictures[0][:, :9, :17]]
    estimator = ConditionEstimator(5)
    with torch.no_grad():
        assert estimator(small).shape == (4, 5)
        torch.testing.assert_close(estimator(small)[:3], estimator(pictures))


def test_statistics_are_finite_and_of_the_order_of_one(image_folder: Path) -> None:
    flat = torch.full((1, 3, 40, 40), 0.3)
    for pictures in (shown(image_folder), flat):
        found = statistics(pictures)
        assert torch.isfinite(found).all()
        assert found.abs().max() < 30

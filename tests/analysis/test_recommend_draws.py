"""A recommendation holds in simulated checks: several questions an image, answers that flip in both
directions, more often on difficult images, and images that a setting fails on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from eyechart.analysis.deployment import Costs, Saving
from eyechart.analysis.measurements import Measurement
from eyechart.analysis.recommend import cheapest, judged
from eyechart.core.types import Floats

_MOST_QUESTIONS = 5
_SHARES = np.array([0.8, 0.2])  # of easy and of difficult images


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """Probabilities at a setting, on easy and on difficult images: that a right answer becomes
    wrong, that a wrong one becomes right, and that the setting fails on the image."""

    lost: tuple[float, float]
    gained: tuple[float, float] = (0.0, 0.0)
    failing: tuple[float, float] = (0.0, 0.0)

    @property
    def loss(self) -> float:
        """The true mean loss of an image, 0..1."""
        lost, gained, failing = map(np.array, (self.lost, self.gained, self.failing))
        return float(_SHARES @ (failing + (1 - failing) * (lost - gained)))

    def losses(self, rng: np.random.Generator, images: int) -> Floats:
        """(images,), as `Measurement.losses`."""
        kind = (rng.random(images) < _SHARES[1]).astype(int)
        lost, gained, failing = (
            np.array(one)[kind] for one in (self.lost, self.gained, self.failing)
        )
        counts = rng.integers(1, _MOST_QUESTIONS + 1, images)
        asked = np.arange(_MOST_QUESTIONS) < counts[:, None]
        luck = rng.random((images, _MOST_QUESTIONS))
        flips = (luck < lost[:, None]) * 1.0 - (luck > 1 - gained[:, None])
        return np.where(rng.random(images) < failing, 1.0, (flips * asked).sum(1) / counts)


def measured(codec: str, level: str, size_bytes: float, losses: Floats) -> Measurement:
    costs = Costs(size_bytes=size_bytes)
    return Measurement(codec=codec, level=level, bpp=0.1, costs=costs, losses=losses)


def test_the_true_loss_is_the_mean_of_the_draws() -> None:
    one = Simulated(lost=(0.02, 0.3), gained=(0.01, 0.05), failing=(0.0, 0.1))
    draws = one.losses(np.random.default_rng(0), 1_000_000)
    assert draws.mean() == pytest.approx(one.loss, abs=0.001)


@pytest.mark.parametrize("images", [40, 200])
@pytest.mark.parametrize(
    "setting",
    [
        Simulated(lost=(0.02, 0.3), gained=(0.01, 0.05), failing=(0.0, 0.1)),
        Simulated(lost=(0.1, 0.5), gained=(0.05, 0.05), failing=(0.02, 0.2)),
        Simulated(lost=(0.0, 0.1)),
        Simulated(lost=(0.0, 0.0), failing=(0.0, 0.3)),
    ],
)
def test_of_six_settings_that_lose_the_tolerance_none_is_recommended_in_95_percent(
    setting: Simulated, images: int
) -> None:
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(500):
        settings = [
            measured(f"codec {n % 3}", str(n), 100 + n, setting.losses(rng, images))
            for n in range(6)
        ]
        wrong += cheapest(judged(settings, 100 * setting.loss), Saving()) is not None
    assert wrong <= 0.05 * 500


@pytest.mark.parametrize(
    "planted",
    [
        Simulated(lost=(0.03, 0.3), gained=(0.01, 0.05), failing=(0.0, 0.05)),
        Simulated(lost=(0.0, 0.0), failing=(0.0, 0.4)),  # perfect but for the images it fails on
    ],
)
def test_a_planted_failure_is_never_recommended_in_1000_draws(planted: Simulated) -> None:
    """Three codecs: the cheap level of each loses more than twice the tolerance, the dear one
    almost nothing, which is found."""
    rng = np.random.default_rng(2)
    good = Simulated(lost=(0.002, 0.01), gained=(0.002, 0.005))
    assert planted.loss > 0.07
    found = 0
    for _ in range(1000):
        settings = [
            measured(f"codec {n}", level, size, one.losses(rng, 300))
            for n in range(3)
            for level, size, one in (("low", 100, planted), ("high", 300, good))
        ]
        best = cheapest(judged(settings, tolerance=3), Saving())
        assert best is None or best.level == "high"
        found += best is not None
    assert found > 950

"""Weights folders of an untrained small network, made once for a test session."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.codecs.learned.elic import MINI, Elic  # noqa: E402
from eyechart.codecs.learned.weights import write_level  # noqa: E402


def lively(seed: int, size: float) -> Elic:
    """An untrained network whose latent is not rounded away."""
    torch.manual_seed(seed)
    network = Elic(MINI).eval()
    with torch.no_grad():
        network.g_a[-1].weight.mul_(size)
        network.h_a[-1].weight.mul_(5)
        for aggregation in network.ParamAggregation:
            aggregation[-1].bias.fill_(size / 8)
    network.entropy_bottleneck.update_quantiles()
    return network


@pytest.fixture(scope="session")
def network() -> Elic:
    return lively(1, 40)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elic-mini")
    for lmbda, size in ((0.001, 8.0), (0.01, 40.0)):
        state = lively(1, size).state_dict()
        write_level(folder, "elic-mini", name=f"{lmbda:g}", lmbda=lmbda, weights=state)
    return folder

"""The faster CPU operations give the results of the library."""

from __future__ import annotations

from pathlib import Path

import torch

from eyechart.adapters.cpu_speed import speed_up_on_cpu
from tests.adapters.tiny_towers import built, pictures


def test_the_faster_tower_gives_the_same_features_and_gradients(
    tiny_dirs: dict[str, Path],
) -> None:
    backbone, _, plain = built(tiny_dirs["qwen2_5_vl"])
    _, _, fast = built(tiny_dirs["qwen2_5_vl"])
    speed_up_on_cpu(fast)
    inputs = pictures(backbone)
    found = []
    for tower in (plain, fast):
        tower.module.requires_grad_(True)
        features = tower.features(inputs)
        features.square().mean().backward()
        gradient = tower.patch_conv.weight.grad
        assert isinstance(gradient, torch.Tensor)
        found.append((features.detach(), gradient))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_other_families_are_unchanged(tiny_dirs: dict[str, Path]) -> None:
    backbone, _, tower = built(tiny_dirs["janus"])
    inputs = pictures(backbone)
    with torch.no_grad():
        plain = tower.features(inputs)
        speed_up_on_cpu(tower)
        assert torch.equal(plain, tower.features(inputs))

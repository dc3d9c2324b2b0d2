"""Every injection: no effect before training, a condition for each image, the paper's injection."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eyechart.adapters.injection import make_injection
from eyechart.core.errors import InputError
from tests.adapters.tiny_towers import ACTING, FAMILIES, ROTARY, built, conditioned, pictures

JPEG, VVC, SOURCE = ("jpeg", "1"), ("vvc", "53"), ("source", "lossless")


@pytest.mark.parametrize(("family", "injection"), ACTING)
def test_an_untrained_adapter_changes_no_bit(
    tiny_dirs: dict[str, Path], family: str, injection: str
) -> None:
    backbone, _, tower = built(tiny_dirs[family])
    inputs = pictures(backbone)
    with torch.no_grad():
        plain = tower.features(inputs)
        for conditioning in ("labelled", "unknown", "estimated"):
            conditioner = conditioned(tower, injection, scale=0.0, conditioning=conditioning)
            conditioner.set_conditions([JPEG])
            assert torch.equal(plain, tower.features(inputs))
            for handle in conditioner.handles:
                handle.remove()


@pytest.mark.parametrize(("family", "injection"), ACTING)
def test_conditions_act_where_they_should_and_can_be_removed(
    tiny_dirs: dict[str, Path], family: str, injection: str
) -> None:
    backbone, _, tower = built(tiny_dirs[family])
    inputs = pictures(backbone)
    with torch.no_grad():
        plain = tower.features(inputs)
        conditioner = conditioned(tower, injection, scale=0.3)
        conditioner.set_conditions([JPEG])
        moved = (tower.features(inputs) - plain).abs().max()
        for handle in conditioner.handles:
            handle.remove()
        assert torch.equal(plain, tower.features(inputs))
    inert = injection in ("none", "rope_angle")
    assert moved < 1e-5 if inert else moved > 1e-3


@pytest.mark.parametrize(("family", "injection"), ACTING)
def test_each_image_of_a_call_gets_its_own_condition(
    tiny_dirs: dict[str, Path], family: str, injection: str
) -> None:
    backbone, _, tower = built(tiny_dirs[family], torch.float64)
    both = pictures(backbone, 3, torch.float64)
    units = len(both["grid"] if "grid" in both else both["pixel_values"])
    conditions = [(JPEG, VVC, SOURCE)[unit % 3] for unit in range(units)]
    conditioner = conditioned(tower, injection, scale=0.3)
    with torch.no_grad():
        conditioner.set_conditions(conditions)
        together = tower.features(both)
        alone = []
        for condition in dict.fromkeys(conditions):
            conditioner.set_conditions([condition])
            alone.append(tower.features(both))
    tokens = len(together) // units if "grid" not in both else None
    start = 0
    for unit, condition in enumerate(conditions):
        count = tokens or int(both["grid"][unit].prod()) // 4
        expected = alone[list(dict.fromkeys(conditions)).index(condition)]
        torch.testing.assert_close(
            together[start : start + count], expected[start : start + count], rtol=0, atol=1e-10
        )
        start += count


def test_the_papers_rotary_condition_has_no_effect(tiny_dirs: dict[str, Path]) -> None:
    """Section 4.1 read literally: an angle that query and key share cancels, and so does its
    gradient."""
    backbone, _, tower = built(tiny_dirs["qwen2_5_vl"], torch.float64)
    inputs = pictures(backbone, dtype=torch.float64)
    # The rotation itself is computed in float32 by the library; measure it in float64.
    with _rotation_in_float64():
        plain = tower.features(inputs).detach()
        conditioner = conditioned(tower, "rope_angle", scale=1.0)
        table = conditioner.injection.table.requires_grad_(True)
        conditioner.set_conditions([JPEG])
        features = tower.features(inputs)
        (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum().backward()
    largest = plain.abs().max()
    assert (features - plain).abs().max() < 1e-12 * largest
    assert table.grad is not None
    assert table.grad.abs().max() < 1e-12 * largest


def test_added_to_cosine_and_sine_it_does_act(tiny_dirs: dict[str, Path]) -> None:
    backbone, _, tower = built(tiny_dirs["qwen2_5_vl"])
    inputs = pictures(backbone)
    conditioner = conditioned(tower, "rope_cos_sin", scale=0.1)
    table = conditioner.injection.table.requires_grad_(True)
    conditioner.set_conditions([JPEG])
    tower.features(inputs).square().sum().backward()
    assert table.grad is not None
    assert table.grad[1].abs().max() > 1e-4
    assert not table.grad[3].any()  # no image was of vvc


@pytest.mark.parametrize("family", FAMILIES[1:])
@pytest.mark.parametrize("injection", ROTARY)
def test_rotary_injections_need_rotary_positions(
    tiny_dirs: dict[str, Path], family: str, injection: str
) -> None:
    _, _, tower = built(tiny_dirs[family])
    with pytest.raises(
        InputError, match=r"learned positions.*allowed: injections that do not need them"
    ):
        make_injection(injection, tower, 3)


def test_an_unknown_injection_is_named(tiny_dirs: dict[str, Path]) -> None:
    _, _, tower = built(tiny_dirs["janus"])
    with pytest.raises(InputError, match="unknown injection 'film'"):
        make_injection("film", tower, 3)


def test_an_estimated_condition_is_a_mean_weighted_by_the_estimator(
    tiny_dirs: dict[str, Path],
) -> None:
    backbone, _, tower = built(tiny_dirs["qwen2_5_vl"])
    inputs = pictures(backbone)
    conditioner = conditioned(tower, "adaln", scale=0.3, conditioning="estimated")
    head = conditioner.estimator.head
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 60.0, 0.0, 0.0]))  # sure of jpeg/1
        estimated = tower.features(inputs)
        conditioner.conditioning = "labelled"
        conditioner.set_conditions([JPEG])
        torch.testing.assert_close(estimated, tower.features(inputs))
        conditioner.set_conditions([VVC])
        assert (estimated - tower.features(inputs)).abs().max() > 1e-3


def test_unknown_is_a_condition_of_its_own(tiny_dirs: dict[str, Path]) -> None:
    backbone, _, tower = built(tiny_dirs["qwen2_5_vl"])
    inputs = pictures(backbone)
    conditioner = conditioned(tower, "patch_embedding", scale=0.3)
    with torch.no_grad():
        conditioner.set_conditions([("no-such-codec", "9")])
        unnamed = tower.features(inputs)
        conditioner.conditioning = "unknown"
        conditioner.set_conditions([JPEG])
        assert torch.equal(unnamed, tower.features(inputs))


class _rotation_in_float64:  # noqa: N801
    """The library rotates query and key in float32 whatever the model's type."""

    def __enter__(self) -> None:
        from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as library

        def rotate(
            q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
        ) -> object:
            cos, sin = cos.unsqueeze(-2).double(), sin.unsqueeze(-2).double()
            return tuple(x * cos + library.rotate_half(x) * sin for x in (q, k))

        self._library, self._kept = library, library.apply_rotary_pos_emb_vision
        library.apply_rotary_pos_emb_vision = rotate

    def __exit__(self, *_: object) -> None:
        self._library.apply_rotary_pos_emb_vision = self._kept

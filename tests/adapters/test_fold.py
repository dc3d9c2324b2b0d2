"""One condition folded into ordinary weights: the stock model has the adapter's output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from eyechart.adapters.condition import SOURCE
from eyechart.adapters.fold import export, folded
from eyechart.adapters.package import AdapterConfig, LoadedAdapter, fingerprint, open_adapter, save
from eyechart.adapters.towers import tower_of
from eyechart.core.errors import InputError
from tests.adapters.tiny_towers import FAMILIES, VOCABULARY, built, conditioned, pictures

JPEG = ("jpeg", "1")
FOLDABLE = [(family, "adaln") for family in FAMILIES] + [
    ("internvl", "patch_embedding"),
    ("janus", "patch_embedding"),
]


def adapted(
    folder: Path, out: Path, injection: str, dtype: torch.dtype, conditioning: Any = "labelled"
) -> tuple[LoadedAdapter, Any, dict[str, torch.Tensor]]:
    """A saved random adapter, attached to a fresh model; and images for it."""
    _, _, tower = built(folder)
    conditioner = conditioned(tower, injection, scale=0.2)
    config = AdapterConfig(
        base={"name": folder.name},
        fingerprint=fingerprint(tower),
        vocabulary=VOCABULARY,
        injection=injection,
        trainable="encoder",
        conditioning=conditioning,
    )
    changed = {
        f"delta.{name}": torch.full_like(tensor, 0.01)
        for name, tensor in list(tower.module.state_dict().items())[:3]
    }
    save(out, config, conditioner, changed)
    backbone, model, _ = built(folder, dtype)
    adapter = open_adapter(out)
    adapter.attach(model)
    assert adapter.conditioner is not None
    adapter.conditioner.to(dtype)
    return adapter, model, pictures(backbone, dtype=dtype)


@pytest.mark.parametrize(("family", "injection"), FOLDABLE)
def test_the_folded_stock_model_equals_the_adapted_one(
    tiny_dirs: dict[str, Path], tmp_path: Path, family: str, injection: str
) -> None:
    adapter, model, inputs = adapted(tiny_dirs[family], tmp_path, injection, torch.float64)
    with torch.no_grad():
        adapter.set_conditions([JPEG])
        wanted = adapter.tower.features(inputs)
        stock = folded(adapter, model, JPEG)
        got = tower_of(stock).features(inputs)
        other = tower_of(folded(adapter, model, ("vvc", "53"))).features(inputs)
    # Within a double's rounding, apart from norms that the library computes in float32.
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))
    assert (other - wanted).abs().max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_an_exported_directory_loads_with_transformers_alone(
    tiny_dirs: dict[str, Path], tmp_path: Path, family: str
) -> None:
    adapter, model, inputs = adapted(
        tiny_dirs[family], tmp_path / "adapter", "adaln", torch.float32
    )
    out = tmp_path / "stock" / family
    out.parent.mkdir()
    export(adapter, model, tiny_dirs[family], JPEG, out)
    backbone, _, tower = built(out)
    with torch.no_grad():
        adapter.set_conditions([JPEG])
        wanted = adapter.tower.features(inputs)
        got = tower.features(inputs)
    assert backbone.tokenizer is not None
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    file = out / "config.json"
    for place, why in ((out, "not empty"), (file, "is a file"), (file / "x", "cannot be made")):
        with pytest.raises(InputError, match=why):
            export(adapter, model, tiny_dirs[family], JPEG, place)


def test_refused_folds_give_the_reason(tiny_dirs: dict[str, Path], tmp_path: Path) -> None:
    cases = {
        "rope_cos_sin": "cannot fold rope_cos_sin: cosine and sine are computed",
        "patch_embedding": "patch projection of qwen2_5_vl has no bias",
    }
    for injection, reason in cases.items():
        adapter, model, _ = adapted(
            tiny_dirs["qwen2_5_vl"], tmp_path / injection, injection, torch.float32
        )
        with pytest.raises(InputError, match=reason):
            folded(adapter, model, JPEG)


def test_folding_uses_the_named_condition_whatever_the_conditioning(
    tiny_dirs: dict[str, Path], tmp_path: Path
) -> None:
    folder = tiny_dirs["qwen2_5_vl"]
    both = [
        adapted(folder, tmp_path / conditioning, "adaln", torch.float64, conditioning)
        for conditioning in ("labelled", "estimated")
    ]
    with torch.no_grad():
        labelled, estimated, source = (
            tower_of(folded(adapter, model, condition)).features(inputs)
            for (adapter, model, inputs), condition in zip(
                [*both, both[0]], [JPEG, JPEG, SOURCE], strict=True
            )
        )
    torch.testing.assert_close(estimated, labelled)
    assert (labelled - source).abs().max() > 1e-3


def test_a_refused_export_leaves_nothing_behind(tiny_dirs: dict[str, Path], tmp_path: Path) -> None:
    adapter, model, _ = adapted(
        tiny_dirs["qwen2_5_vl"], tmp_path / "adapter", "patch_embedding", torch.float32
    )
    with pytest.raises(InputError):
        export(adapter, model, tiny_dirs["qwen2_5_vl"], JPEG, tmp_path / "stock")
    with pytest.raises(InputError, match="allowed: source/lossless, jpeg/1"):
        export(adapter, model, tiny_dirs["qwen2_5_vl"], ("webp", "1"), tmp_path / "stock")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]

"""The injection in docs/add-an-injection.md works as written, from an installed distribution."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from eyechart.core.errors import InputError
from tests.adapters.tiny_towers import FAMILIES, built, conditioned, pictures
from tests.installed import Distribution, install

PAGE = Path(__file__).parents[2] / "docs" / "add-an-injection.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    (project,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (file,) = re.findall(r"^# (\w+\.py)$", code, re.M)
    package = Distribution(name="first-norm", files={file: code}, pyproject=project)
    return install(tmp_path_factory.mktemp("injection"), package)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_installed_injection_acts_once_it_is_trained(
    tiny_dirs: dict[str, Path], family: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    backbone, _, tower = built(tiny_dirs[family])
    inputs = pictures(backbone)
    with torch.no_grad():
        plain = tower.features(inputs)
        for scale, acts in ((0.0, False), (0.3, True)):
            conditioner = conditioned(tower, "first_norm", scale=scale)
            conditioner.set_conditions([("jpeg", "1")])
            assert torch.equal(tower.features(inputs), plain) is not acts
            for handle in conditioner.handles:
                handle.remove()
    with pytest.raises(InputError, match="cannot fold first_norm"):
        conditioner.injection.fold(tower, 1)

"""Quality metrics: figures of a reference implementation, limits, order, and plug-ins."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from eyechart.core import plugins
from eyechart.core.errors import PluginError
from eyechart.core.images import encode_png
from eyechart.core.types import Rgb8
from eyechart.quality import QualityMetric, open_metric
from tests.installed import Distribution, eyechart_in, install

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-metric.md").read_text(encoding="utf-8")


def photo(height: int = 192, width: int = 256) -> Rgb8:
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(x / 9), 127 + 90 * np.cos(y / 7), (x + y) % 256]
    return np.stack(waves, axis=-1).clip(0, 255).astype(np.uint8)


def noisy(rgb8: Rgb8, deviation: float) -> Rgb8:
    noise = np.random.default_rng(0).normal(0, deviation, rgb8.shape)
    return (rgb8 + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("deviation", "expected"), [(5, 0.984845), (60, 0.650446)])
def test_ms_ssim_gives_the_figures_of_pytorch_msssim(deviation: float, expected: float) -> None:
    measured = open_metric("ms-ssim").measure(photo(), noisy(photo(), deviation))
    assert measured == pytest.approx(expected, abs=5e-6)


def test_psnr_of_a_known_error() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert open_metric("psnr").measure(black, black + np.uint8(255)) == 0
    assert open_metric("psnr").measure(black, black + np.uint8(1)) == pytest.approx(48.13, abs=0.01)


@pytest.mark.parametrize("name", plugins.names("eyechart.metrics"))
@pytest.mark.parametrize("size", [(161, 163), (200, 177)])
def test_more_noise_is_worse_and_none_is_best(name: str, size: tuple[int, int]) -> None:
    metric = open_metric(name)
    assert isinstance(metric, QualityMetric)
    found = [metric.measure(photo(*size), noisy(photo(*size), level)) for level in (0, 2, 20, 200)]
    assert found == sorted(found, reverse=metric.higher_is_better)
    assert len(set(found)) == 4


def test_an_image_too_small_for_five_scales_has_no_ms_ssim() -> None:
    assert np.isnan(open_metric("ms-ssim").measure(photo(160, 300), photo(160, 300)))
    assert open_metric("ms-ssim").measure(photo(161, 300), photo(161, 300)) == pytest.approx(1)


def test_the_metric_of_the_documentation_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n# worst_pixel.py\n(.*?)```", PAGE, re.DOTALL)
    (pyproject,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    files = {"worst_pixel.py": code}
    site = install(tmp_path, Distribution(name="worst", files=files, pyproject=pyproject))
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "photo.png").write_bytes(encode_png(photo(40, 40)))
    (command,) = re.findall(r"```sh\neyechart (.*?)\n```", PAGE)
    done = eyechart_in(site, *command.replace("FOLDER", str(folder)).split())
    assert done.returncode == 0, done.stderr
    assert "worst" in done.stdout.splitlines()[0]
    monkeypatch.syspath_prepend(site)
    assert open_metric("worst").measure(photo(), photo() ^ 1) == 1
    with pytest.raises(PluginError, match="unknown metric 'wurst'; did you mean worst"):
        open_metric("wurst")

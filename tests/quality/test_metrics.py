"""Quality metrics: figures of a reference implementation, limits, order, and plug-ins."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from eyechart.core import plugins
from eyechart.core.errors import InputError, PluginError
from eyechart.core.images import encode_png
from eyechart.core.types import Rgb8
from eyechart.quality import check_files, open_metric
from eyechart.quality.psnr import Psnr
from eyechart.testing import check_metric
from tests.installed import Distribution, eyechart_in, install, python_in

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-metric.md").read_text(encoding="utf-8")


def photo(height: int = 192, width: int = 256) -> Rgb8:
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(x / 9), 127 + 90 * np.cos(y / 7), (x + y) % 256]
    return np.stack(waves, axis=-1).clip(0, 255).astype(np.uint8)


def noisy(rgb8: Rgb8, deviation: float) -> Rgb8:
    noise = np.random.default_rng(0).normal(0, deviation, rgb8.shape)
    return (rgb8 + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("deviation", "expected"), [(5, 0.984845), (60, 0.650446)])
def test_ms_ssim_equals_pytorch_msssim(deviation: float, expected: float) -> None:
    measured = open_metric("ms-ssim").measure(photo(), noisy(photo(), deviation))
    assert measured == pytest.approx(expected, abs=5e-6)


def test_psnr_of_a_known_error() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert open_metric("psnr").measure(black, black + np.uint8(255)) == 0
    assert open_metric("psnr").measure(black, black + np.uint8(1)) == pytest.approx(48.13, abs=0.01)


@pytest.mark.parametrize("name", plugins.names("eyechart.metrics"))
def test_every_metric_passes_the_check(name: str) -> None:
    try:
        check_files(open_metric(name))
    except InputError as missing:
        pytest.skip(str(missing))
    check_metric(name)


class Broken(Psnr):
    """PSNR, with one violated requirement."""

    def __init__(self, how: str) -> None:
        self.how, self.calls = how, 0
        if how == "order":
            self.higher_is_better = False
        if how == "version":
            self.version = ""

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        self.calls += 1
        if self.how == "input":
            decoded += np.uint8(1)
        value = super().measure(reference, decoded)
        changed = {
            "chance": value + self.calls,
            "never": float("nan"),
            "sometimes": float("nan") if np.isinf(value) else value,
            "blind": 1.0,
            "number": None,
        }
        return changed.get(self.how, value)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("order", "more noise is not worse"),
        ("blind", "more noise is not worse"),
        ("version", "needs a version"),
        ("input", "an image was changed"),
        ("chance", ", then "),
        ("never", "NaN for all sizes"),
        ("sometimes", "NaN for some images"),
        ("number", "NoneType is not a float"),
    ],
)
def test_the_check_names_the_violated_requirement(how: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_metric(Broken(how), sizes=[(64, 48)])


def test_an_image_too_small_for_five_scales_has_no_ms_ssim() -> None:
    assert np.isnan(open_metric("ms-ssim").measure(photo(160, 300), photo(160, 300)))
    assert open_metric("ms-ssim").measure(photo(161, 300), photo(161, 300)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("vmaf", 92.009), ("vif", 0.72318), ("psnr-hvs", 42.8735), ("xpsnr", 39.991)],
)
def test_the_filters_of_ffmpeg_measure_luma(name: str, expected: float) -> None:
    decoded = noisy(photo(), 5)
    assert open_metric(name).measure(photo(), decoded) == pytest.approx(expected, rel=1e-4)
    changed = np.maximum(photo(), [0, 0, 4]).astype(np.uint8)  # less than a step of luma
    equal = open_metric(name).measure(photo(), photo())
    assert open_metric(name).measure(photo(), changed) > 0.95 * min(equal, 60)


@pytest.mark.parametrize("name", ["vmaf", "vif", "psnr-hvs", "xpsnr"])
def test_an_ffmpeg_without_the_filters_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "ffmpeg"
    other.write_text("#!/bin/sh\necho \"No such filter: 'libvmaf'\" >&2\nexit 1\n")
    other.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(other))
    with pytest.raises(InputError, match="has no libvmaf or no xpsnr; pip install"):
        open_metric(name).measure(photo(40, 44), photo(40, 44))


def test_the_metric_of_the_documentation_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n# worst_pixel.py\n(.*?)```", PAGE, re.DOTALL)
    (pyproject,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    files = {"worst_pixel.py": code}
    site = install(tmp_path, Distribution(name="worst", files=files, pyproject=pyproject))
    folder = tmp_path / "images"
    folder.mkdir()
    (check,) = re.findall(r"```python\n# check_worst_pixel.py\n(.*?)```", PAGE, re.DOTALL)
    done = python_in(site, "-c", check)
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "photo.png").write_bytes(encode_png(photo(40, 40)))
    (command,) = re.findall(r"```sh\neyechart (.*?)\n```", PAGE)
    done = eyechart_in(site, *command.replace("FOLDER", str(folder)).split())
    assert done.returncode == 0, done.stderr
    assert "worst" in done.stdout.splitlines()[0]
    monkeypatch.syspath_prepend(site)
    assert open_metric("worst").measure(photo(), photo() ^ 1) == 1
    with pytest.raises(PluginError, match="unknown metric 'wurst'; did you mean worst"):
        open_metric("wurst")

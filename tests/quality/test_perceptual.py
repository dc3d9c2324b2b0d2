"""Metrics of networks: the numbers of the libraries on random weights, and what is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import linalg

import eyechart
from eyechart.api.listing import readiness
from eyechart.core.errors import InputError
from eyechart.core.images import encode_png
from eyechart.core.types import Floats, Rgb8
from eyechart.quality import HasFeatures, QualityMetric, open_metric
from eyechart.quality.backbones import _import_problem
from eyechart.quality.frechet import frechet_distance
from eyechart.testing import check_metric

torch = pytest.importorskip("torch")


def picture(seed: int, side_px: int = 64) -> Rgb8:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 8, 3))
    return coarse.repeat(side_px // 8, 0).repeat(side_px // 8, 1).astype(np.uint8)


def damaged(rgb8: Rgb8, deviation: float) -> Rgb8:
    noise = np.random.default_rng(1).normal(0, deviation, rgb8.shape)
    return (rgb8 + noise).clip(0, 255).astype(np.uint8)


def features(seed: int, images: int = 40, dimensions: int = 6) -> Floats:
    rng = np.random.default_rng(seed)
    found: Floats = rng.normal(size=(images, dimensions)) @ rng.normal(
        size=(dimensions, dimensions)
    )
    return found


def test_the_frechet_distance_is_that_of_the_formula() -> None:
    one, other = features(0), features(1) + 0.5
    covariances = [np.cov(side, rowvar=False) for side in (one, other)]
    both = linalg.sqrtm(covariances[0] @ covariances[1]).real
    means = ((one.mean(0) - other.mean(0)) ** 2).sum()
    expected = means + np.trace(covariances[0] + covariances[1] - 2 * both)
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(other, one) == pytest.approx(expected)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_a_weight_counts_an_image_several_times() -> None:
    one, other = features(0, 12), features(1, 12)
    count = np.random.default_rng(2).integers(0, 3, 12)
    expected = frechet_distance(one.repeat(count, 0), other.repeat(count, 0))
    assert frechet_distance(one, other, count.astype(float)) == pytest.approx(expected)
    assert np.isnan(frechet_distance(one[:1], other[:1]))


def test_more_damage_is_a_larger_distance_of_sets() -> None:
    metric = open_metric("efficientnet-frechet")
    assert isinstance(metric, HasFeatures)
    originals = [picture(seed) for seed in range(6)]
    reference = np.array([metric.features(one) for one in originals])
    distances = [
        frechet_distance(
            reference, np.array([metric.features(damaged(one, deviation)) for one in originals])
        )
        for deviation in (0, 5, 20, 60)
    ]
    assert distances[0] == pytest.approx(0, abs=1e-9)
    assert all(np.diff(distances) > 0)


def test_a_bench_has_one_distance_of_all_images(tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / f"{seed}.png").write_bytes(encode_png(picture(seed)))
    metrics = "efficientnet,efficientnet-frechet"
    low, high = eyechart.bench_codecs(tmp_path, "jpeg:levels=[5,90]", metrics).rows
    for name in ("EfficientNet distance", "EfficientNet Frechet"):
        worse, better = low.quality[name], high.quality[name]
        assert worse is not None
        assert better is not None
        assert worse > better > 0


@pytest.mark.parametrize("name", ["lpips", "dists", "fid"])
def test_what_is_missing_is_named_with_the_way_to_get_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    wanted = rf"no weights {tmp_path}.*; download https://.*{name}:download=true|pip install"
    metric: Any = open_metric(name)
    with pytest.raises(InputError, match=wanted):
        metric.check()
    sections = dict(readiness())
    (found,) = (one for one in sections["quality metrics"] if one.name == name)
    assert found.state == "missing"
    assert "http" in found.detail or "pip install" in found.detail


@pytest.mark.parametrize("error", ["RuntimeError", "AttributeError"])
def test_a_package_that_cannot_be_imported_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """torchvision of another build than torch: `doctor` does not say that LPIPS is ready."""
    broken = f"raise {error}('operator torchvision::nms does not exist')\n"
    (tmp_path / "torchvision.py").write_text(broken)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    _import_problem.cache_clear()
    try:
        for name in ("lpips", "dists", "fid"):
            metric: Any = open_metric(name)
            with pytest.raises(InputError, match=r"torchvision cannot be imported .*nms.*index"):
                metric.check()
            with pytest.raises(InputError, match="torchvision cannot be imported"):
                eyechart.bench_codecs(tmp_path, "jpeg", name)
        states = {one.name: one.state for one in dict(readiness())["quality metrics"]}
        assert {states[name] for name in ("lpips", "dists", "fid")} == {"missing"}
    finally:
        _import_problem.cache_clear()


def test_a_file_that_is_not_of_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eyechart.quality.lpips import ALEXNET

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = ALEXNET.path()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    try:
        ALEXNET.check("lpips", download=False)
    except InputError as missing:
        pytest.skip(str(missing))
    with pytest.raises(InputError, match="not a file of weights"):
        ALEXNET.ready("lpips", download=False)


# --- numbers, where torchvision is installed ----------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloads, empty."""
    for package in ("torchvision", "torchmetrics", "torch_fidelity"):
        try:
            __import__(package)
        except (ImportError, RuntimeError) as error:  # torchvision of another build of torch
            pytest.skip(f"{package}: {error}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    return folder


def without_classifier(network: Any) -> dict[str, Any]:
    """Its weights; those of the classifier, which are most of the file, are one repeated zero."""
    return {
        name: torch.zeros(1).expand(tensor.shape) if name.startswith("classifier") else tensor
        for name, tensor in network.state_dict().items()
    }


def measured(metric: QualityMetric) -> float:
    check_metric(metric, sizes=[(64, 48), (1, 1)])
    return metric.measure(picture(0), damaged(picture(0), 20))


def both() -> list[Any]:
    images = (picture(0), damaged(picture(0), 20))
    return [torch.from_numpy(one.transpose(2, 0, 1).copy())[None].float() / 255 for one in images]


def test_lpips_is_that_of_torchmetrics(weights: Path) -> None:
    import torchvision
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity as lpips

    network = torchvision.models.alexnet(weights=None)
    torch.save(without_classifier(network), weights / "alexnet-owt-7be5be79.pth")
    expected = lpips(*both(), net_type="alex", normalize=True).item()
    assert measured(open_metric("lpips")) == pytest.approx(expected, rel=1e-5)


def test_dists_is_that_of_torchmetrics(weights: Path) -> None:
    import torchvision
    from torchmetrics.functional.image.dists import (
        deep_image_structure_and_texture_similarity as dists,
    )

    network = torchvision.models.vgg16(weights=None)
    torch.save(without_classifier(network), weights / "vgg16-397923af.pth")
    original, decoded = both()
    expected = dists(decoded, original).item()
    assert measured(open_metric("dists")) == pytest.approx(expected, rel=1e-5)


def test_fid_is_that_of_torch_fidelity(weights: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    path = weights / "weights-inception-2015-12-05-6726825d.pth"

    class Fresh(FeatureExtractorInceptionV3):  # type: ignore[misc]
        """As it is made, before weights are read."""

        def load_state_dict(self, *given: Any, **named: Any) -> None: ...

    torch.save({}, path)
    torch.save(Fresh("fresh", ["2048"], str(path)).state_dict(), path)
    extractor = FeatureExtractorInceptionV3("same", ["2048"], str(path))
    metric = open_metric("fid")
    assert isinstance(metric, HasFeatures)
    originals = [picture(seed) for seed in range(4)]
    sets = [originals, [damaged(one, 30) for one in originals]]
    own = [np.array([metric.features(one) for one in images]) for images in sets]
    theirs = [
        extractor(torch.from_numpy(np.array([one.transpose(2, 0, 1) for one in images])))[0]
        for images in sets
    ]
    statistics = [fid_features_to_statistics(found) for found in theirs]
    expected = fid_statistics_to_metric(*statistics, verbose=False)
    assert frechet_distance(*own) == pytest.approx(expected["frechet_inception_distance"], rel=1e-3)

"""A policy file and its client compress as the codec did that was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from eyechart.analysis.deployment import Costs, Saving
from eyechart.analysis.measurements import Measurement
from eyechart.analysis.policy import client_of, policy_of
from eyechart.analysis.recommend import Recommendation, cheapest, judged
from eyechart.codecs import open_codec
from eyechart.codecs.jpeg_quality import jpeg_quality
from eyechart.core.errors import InputError
from eyechart.core.images import read_image
from eyechart.core.types import component_of
from tests.analysis import toy


def recommendation(spec: str) -> Recommendation:
    codec = open_codec(spec)
    level = codec.levels[0]
    measured = Measurement(
        codec=codec.name,
        level=level.name,
        bpp=0.1,
        costs=Costs(size_bytes=1000),
        losses=np.zeros(500),
        cell=replace(toy.cell(), codec=component_of(codec), level=level),
    )
    settings = judged([measured], tolerance=5)
    return Recommendation(
        vlm="reader",
        adapter="",
        tolerance=5,
        settings=settings,
        best=cheapest(settings, Saving()),
        saving=Saving(),
        uncompressed=Costs(size_bytes=5000),
        agreement=100,
    )


@pytest.mark.parametrize(
    ("spec", "pillow"),
    [
        ("jpeg:75", True),
        ("webp:quality=60,long_side=64,restore=false", True),
        ("jpeg:quality=50,long_side=64", False),
        ("jpeg:target_bytes=2000,long_side=64,restore=false", False),
        ("hevc:levels=[45],preset=fast", False),
    ],
)
def test_the_client_makes_the_measured_payload(
    spec: str, pillow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recommendation(spec)
    policy = policy_of(found)
    assert ("format" in policy) == pillow
    assert (policy["policy"], policy["loss_at_most"]) == (1, round(found.settings[0].upper, 3))
    (tmp_path / 'the "policy".json').write_text(json.dumps(policy))
    Image.linear_gradient("L").resize((160, 96)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    client = client_of(policy, 'the "policy".json')
    assert ("eyechart" in client) != pillow
    assert len([line for line in client.splitlines() if line.strip()]) <= 16
    names: dict[str, object] = {}
    exec(client, names)
    codec = open_codec(spec)
    expected = codec.encode(read_image("photo.png"), codec.levels[0]).payload
    assert names["compressed"]("photo.png") == expected  # type: ignore[operator]


def _photographs(folder: Path) -> list[Path]:
    """Images of every kind that the client with Pillow compresses as the package does."""
    random = np.random.default_rng(5)
    noise = Image.fromarray(random.integers(0, 256, (24, 32, 4), np.uint8), "RGBA").resize((96, 72))
    rgb, orientation = noise.convert("RGB"), Image.Exif()
    orientation[0x0112] = 6
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")  # a profile of other primaries
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    made = [folder / f"{place}.png" for place in range(7)] + [folder / "cmyk.jpg"]
    rgb.save(made[0])
    noise.save(made[1])
    noise.convert("LA").save(made[2])
    rgb.quantize(16).save(made[3], transparency=3)
    rgb.save(made[4], icc_profile=bytes(swapped))
    noise.save(made[5], icc_profile=bytes(swapped))
    rgb.save(made[6], exif=orientation)
    rgb.convert("CMYK").save(made[7])
    return made


@pytest.mark.parametrize("spec", ["jpeg:75", "webp:60", "avif:50,long_side=64,restore=false"])
def test_the_client_makes_the_measured_bytes_of_any_photograph(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(recommendation(spec))
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(client_of(policy, "policy.json"), names)
    codec, plain = open_codec(spec), b""
    for path in _photographs(tmp_path):
        expected = codec.encode(read_image(path), codec.levels[0]).payload
        assert names["compressed"](path) == expected, path.name  # type: ignore[operator]
        plain = plain or expected
        if path.name == "4.png":
            assert expected != plain  # the profile counts


def test_without_a_recommendation_there_is_no_policy() -> None:
    found = replace(recommendation("jpeg:75"), best=None)
    with pytest.raises(InputError, match="no setting is recommended, so there is no policy"):
        policy_of(found)


@pytest.mark.parametrize("quality", [10, 50, 75, 85, 95, 100])
def test_the_quality_of_a_jpeg_file_is_recognised(quality: int, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.linear_gradient("L").convert("RGB").save(path, quality=quality)
    assert jpeg_quality(path) == quality
    path.write_bytes(b"no image")
    assert jpeg_quality(path) is None
    Image.linear_gradient("L").save(tmp_path / "photo.png")
    assert jpeg_quality(tmp_path / "photo.png") is None


def test_a_jpeg_file_with_too_many_pixels_has_no_quality(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.jpg"
    Image.linear_gradient("L").save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    assert jpeg_quality(path) is None

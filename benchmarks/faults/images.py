"""Damaged image files of every supported format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from benchmarks.faults.damage import damaged
from benchmarks.faults.trial import FaultTrial, Verdict, command, judge

_ICC = ", ICC"  # rows of images with a colour profile
_MODES = {
    "avif": ("RGB", "RGBA"),
    "bmp": ("RGB", "P"),
    "gif": ("P",),
    "jp2": ("RGB", "L", "I;16"),
    "jpeg": ("RGB", "L", "CMYK"),
    f"jpeg{_ICC}": ("RGB", "L"),
    "png": ("RGB", "RGBA", "P", "I;16", "1"),
    f"png{_ICC}": ("RGB", "RGBA", "P", "L", "I;16"),
    "ppm": ("RGB", "L"),
    "tiff": ("RGB", "I;16", "F", "CMYK"),
    f"tiff{_ICC}": ("RGB", "P", "L", "I;16", "F"),
    "webp": ("RGB", "RGBA"),
}


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` tries for each format: `codec encode` of a damaged file."""
    for row, modes in _MODES.items():
        suffix = row.removesuffix(_ICC)
        payloads = {mode: _file(row, suffix, mode, chance) for mode in modes}
        right = {mode: _encoded(data, suffix, folder) for mode, data in payloads.items()}
        for number in range(count):
            mode = modes[number % len(modes)]
            path, out = folder / f"image.{suffix}", folder / "out.bin"
            path.write_bytes(damaged(payloads[mode], chance))
            out.unlink(missing_ok=True)
            ended = command("codec", "encode", path, out, "--codec", "jpeg", "--level", "6")
            yield judge(row, ended, partial(_same, out, right[mode]))


def _same(out: Path, right: bytes) -> Verdict:
    return Verdict.right if out.read_bytes() == right else Verdict.other


def _encoded(data: bytes, suffix: str, folder: Path) -> bytes:
    path, out = folder / f"whole.{suffix}", folder / "whole.bin"
    path.write_bytes(data)
    ended = command("codec", "encode", path, out, "--codec", "jpeg", "--level", "6")
    assert ended.code == 0, ended.said
    return out.read_bytes()


def _file(row: str, suffix: str, mode: str, chance: Random) -> bytes:
    noise = np.random.default_rng(chance.randrange(1 << 32))
    pixels = noise.integers(0, 256, (40, 52, 3), np.uint8)
    if mode == "F":
        image = Image.fromarray(pixels[:, :, 0].astype(np.float32) / 255)
    elif mode == "I;16":
        image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # a photograph turned by 90 degrees
    wanted: dict[str, Any] = {"exif": exif} if suffix in ("jpeg", "webp", "png") else {}
    if row != suffix:
        wanted["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(buffer, format="jpeg2000" if suffix == "jp2" else suffix, **wanted)
    return buffer.getvalue()

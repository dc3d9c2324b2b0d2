"""Milliseconds, rate and PSNR of encoder presets on a folder of images.

    python benchmarks/codecs.py FOLDER [--side 224] [--codec vvc:preset=medium --codec ...]

Images are cut to a centred square and scaled to --side. Each image is coded at every level, one at
a time, each time in a new process. The table shows medians, which other load on the machine changes
little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
from PIL import Image

from eyechart.core import plugins
from eyechart.core.types import Codec, Level, Rgb8
from eyechart.quality import open_metric

CODECS = [
    *(f"vvc:preset={preset}" for preset in ("medium", "fast", "faster")),
    *(f"hevc:preset={preset}" for preset in ("slow", "medium")),
    *("jpeg", "webp", "avif", "jpegxl"),
]


def squares(folder: Path, side_px: int) -> list[Rgb8]:
    """All images of a folder as (side_px, side_px, 3)."""
    found = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as picture:
            rgb = picture.convert("RGB")
        side = min(rgb.size)
        left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
        cut = rgb.crop((left, top, left + side, top + side))
        found.append(np.array(cut.resize((side_px, side_px), Image.Resampling.LANCZOS)))
    return found


def measure(codec: Codec, level: Level, pictures: list[Rgb8]) -> str:
    """One line of the table."""
    encode_s, decode_s, rate_bpp, psnr_db = [], [], [], []
    for rgb8 in pictures:
        start_s = time.perf_counter()
        bitstream = codec.encode(rgb8, level)
        coded_s = time.perf_counter()
        decoded = codec.decode(bitstream)
        decode_s.append(time.perf_counter() - coded_s)
        encode_s.append(coded_s - start_s)
        rate_bpp.append(bitstream.bpp)
        psnr_db.append(open_metric("psnr").measure(rgb8, decoded))
    times = [1e3 * statistics.median(values) for values in (encode_s, decode_s)]
    return (
        f"{level.name:>9} {np.mean(rate_bpp):8.4f} {np.mean(psnr_db):7.2f} "
        f"{times[0]:10.1f} {times[1]:10.1f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--codec", action="append")
    arguments = parser.parse_args()
    pictures = squares(arguments.folder, arguments.side)
    print(f"{len(pictures)} images, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"{'codec':24} {'level':>9} {'bpp':>8} {'PSNR':>7} {'encode ms':>10} {'decode ms':>10}")
    for spec in arguments.codec or CODECS:
        name, options = plugins.parse_spec(spec)
        codec: Codec = plugins.load("eyechart.codecs", name, options)
        for level in codec.levels:
            print(f"{spec:24} {measure(codec, level, pictures)}", flush=True)


if __name__ == "__main__":
    main()

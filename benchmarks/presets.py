"""BD-rate of encoder presets against medium, and the encoder's CPU time for an image.

    python -m benchmarks.presets FOLDER [--images 8] [--side 224] [--codec vvc,hevc]

Images are cut to a centred square and scaled to --side. A preset has one rate-PSNR curve for each
image; the BD-rate is the mean over the images, and its range is that of single images. The time is
user and system time of the encoder's process, its start included, which other load on the machine
changes less than seconds.
"""

from __future__ import annotations

import argparse
import resource
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.codecs import squares
from eyechart import api
from eyechart.core.types import Rgb8
from eyechart.quality import open_metric

PRESETS = {
    "vvc": ("faster", "fast", "medium", "slow", "slower"),
    "hevc": ("ultrafast", "fast", "medium", "slow", "slower"),
}
_REFERENCE = "medium"


@dataclass(slots=True)
class _PresetCurves:
    """rates_bpp, psnr_db: of each image a list over the levels. cpu_s: of each encoding."""

    rates_bpp: list[list[float]] = field(default_factory=list)
    psnr_db: list[list[float]] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


def _coded(spec: str, images: list[Rgb8]) -> _PresetCurves:
    codec, psnr, found = api.open_codec(spec), open_metric("psnr"), _PresetCurves()
    for rgb8 in images:
        rates_bpp, psnr_db = [], []
        for level in codec.levels:
            start_s = _children_s()
            bitstream = codec.encode(rgb8, level)
            found.cpu_s.append(_children_s() - start_s)
            rates_bpp.append(bitstream.bpp)
            psnr_db.append(psnr.measure(rgb8, codec.decode(bitstream)))
        found.rates_bpp.append(rates_bpp)
        found.psnr_db.append(psnr_db)
    return found


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _changes(one: _PresetCurves, against: _PresetCurves) -> list[float]:
    """BD-rate in percent of each image."""
    pairs = zip(one.rates_bpp, one.psnr_db, against.rates_bpp, against.psnr_db, strict=True)
    return [
        api.bd_rate(rates, scores, against=(rates_medium, scores_medium)).value
        for rates, scores, rates_medium, scores_medium in pairs
    ]


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--codec", default=",".join(PRESETS))
    given = parser.parse_args()
    images = squares(given.folder, given.side)[: given.images]
    print("| codec | preset | BD-rate (PSNR), % | of single images, % | encoder, CPU ms |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name in given.codec.split(","):
        reference = _coded(f"{name}:preset={_REFERENCE}", images)
        for preset in PRESETS[name]:
            is_reference = preset == _REFERENCE
            one = reference if is_reference else _coded(f"{name}:preset={preset}", images)
            changes = _changes(one, reference)
            cpu_ms = 1000 * float(np.median(one.cpu_s))
            print(
                f"| {name} | {preset} | {np.mean(changes):+.1f} | {min(changes):+.1f} to "
                f"{max(changes):+.1f} | {cpu_ms:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

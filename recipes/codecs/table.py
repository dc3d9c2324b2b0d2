"""Rate and PSNR of codecs on folders of pictures, and BD-rate of one of them against the others.

python -m recipes.codecs.table FOLDER --codec elic-mini --against jpeg:levels=[5,10,20,35,50] ...

PSNR is that of the mean over pictures' PSNR, rate the mean of their bpp, as for every curve here.
Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from eyechart.analysis.bd import bd_rate_percent
from eyechart.core import plugins
from eyechart.core.images import find_images, read_image
from eyechart.core.types import Codec, Rgb8


def curve(codec: Codec, pictures: list[Rgb8]) -> list[tuple[str, float, float]]:
    """(level, mean bpp, mean PSNR in dB) of every level, from real bitstreams."""
    points = []
    for level in codec.levels:
        found = []
        for picture in pictures:
            bitstream = codec.encode(picture, level)
            error = codec.decode(bitstream).astype(np.float64) - picture
            found.append((bitstream.bpp, 10 * np.log10(255**2 / np.mean(error**2))))
        bpp, psnr_db = np.mean(found, axis=0)
        points.append((level.name, float(bpp), float(psnr_db)))
    return points


def _open(spec: str) -> Codec:
    name, options = plugins.parse_spec(spec)
    codec: Codec = plugins.load("eyechart.codecs", name, options)
    return codec


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--codec", required=True)
    parser.add_argument("--against", nargs="*", default=[])
    parser.add_argument("--most", type=int, help="only the first pictures")
    arguments = parser.parse_args()
    pictures = [read_image(path) for path in find_images(arguments.folder)[0][: arguments.most]]
    print(f"{len(pictures)} pictures of {arguments.folder.name}\n")
    print("| codec | level | bpp | PSNR dB |\n| --- | --- | --- | --- |")
    curves = {}
    for spec in (arguments.codec, *arguments.against):
        points = curve(_open(spec), pictures)
        curves[spec] = points
        for level, bpp, psnr_db in points:
            print(f"| {spec.partition(':')[0]} | {level} | {bpp:.4f} | {psnr_db:.2f} |", flush=True)
    print()
    _, rates, psnrs = zip(*curves[arguments.codec], strict=True)
    for spec in arguments.against:
        _, other_rates, other_psnrs = zip(*curves[spec], strict=True)
        found = bd_rate_percent(rates, psnrs, other_rates, other_psnrs)
        print(f"BD-rate against {spec.partition(':')[0]}: {found:+.1f} %")


if __name__ == "__main__":
    _main()

"""A small task file, and a VLM that answers immediately, for runs."""

from __future__ import annotations

import base64
import sys
import zlib
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from random import Random

import numpy as np

from eyechart.cli import run_args
from eyechart.core.images import encode_png
from eyechart.core.types import Answer, Decoding, Json, Request

VLM = "faults-toy"


@dataclass
class Toy:
    """Answers Yes or No as a function of the image and the question."""

    name: str = VLM
    version: str = "1"
    options: Mapping[str, Json] = field(default_factory=dict)
    family: str = "default"

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One answer a question."""
        return [
            [_answer(request.image.tobytes() + prompt.encode()) for prompt in request.prompts]
            for request in requests
        ]

    def visual_tokens(self, height_px: int, width_px: int) -> int:
        """A token for 28x28 pixels."""
        return height_px * width_px // 784


def _answer(data: bytes) -> Answer:
    return Answer(text=("Yes", "No")[zlib.crc32(data) % 2], tokens=1)


def register(folder: Path) -> None:
    """Register the VLM, as an installed package does."""
    info = folder / "faults_toy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faults-toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[eyechart.vlms]\n{VLM} = {__name__}:Toy\n")
    sys.path.append(str(folder))


def pope(
    folder: Path,
    chance: Random,
    *,
    images: int = 4,
    per_image: int = 3,
    size: tuple[int, int] = (24, 32),
) -> Path:
    """POPE.tsv in a folder, with noise of a height and width in pixels; returns the file."""
    noise = np.random.default_rng(chance.randrange(1 << 32))
    rows = ["index\timage\tquestion\tanswer\tcategory"]
    for image in range(images):
        png = base64.b64encode(encode_png(noise.integers(0, 256, (*size, 3), np.uint8))).decode()
        for number in range(per_image):
            index = image * per_image + number
            cell = png if number == 0 else str(image * per_image)
            answer = ("Yes", "No")[index % 2]
            rows.append(f"{index}\t{cell}\tIs {index} red?\t{answer}\trandom,popular,adversarial")
    folder.mkdir(exist_ok=True)
    path = folder / "POPE.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


def preload(folder: Path) -> None:
    """Import once here the modules that children would import in every try."""
    with redirect_stdout(StringIO()):
        run_args(run_arguments(pope(folder / "preload", Random(0)), folder / "preloaded"))
        run_args(["table", "scores", str(folder / "preloaded")])


def run_arguments(data: Path, out: Path, *, vlm: str = VLM, codecs: str = "jpeg") -> list[str]:
    """`eyechart run` of POPE with the toy VLM."""
    arguments = ["run", "--vlm", vlm, "--tasks", "POPE", "--data", str(data), "--codecs", codecs]
    return [*arguments, "--out", str(out), "--workers", "0", "--no-report"]

"""The images of eyechart-mini: the choice of held-out scenes, and their format in a task file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from recipes.chart.ask_text import recognition_category
from recipes.chart.balance import first_scenes
from recipes.chart.facts import all_clear, clear
from recipes.chart.reading import fields, only_formula, only_sign, result
from recipes.chart.render import render
from recipes.chart.scene import Layout, Scene

# Stored as JPEG, as in COCO. A PNG of the same image takes 79 KB, four times as much, which is too
# large for seven files in a package.
JPEG_QUALITY = 90

SCENES = 150
SIGNS_EACH = 8  # of every category of Text Recognition that a large sign can have
FORMS = 18
SUMS = 13
OTHER_FORMULAS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartScenes:
    """Held-out scenes by the questions that they allow, in the order in which they are used."""

    scenes: tuple[Scene, ...]
    signs: tuple[Scene, ...]
    forms: tuple[Scene, ...]
    formulas: tuple[Scene, ...]


def choose_pictures(seed: int) -> ChartScenes:
    """The images of one edition of the chart, from the first scenes of the test split."""
    layouts: dict[Layout, list[Scene]] = {"scene": [], "sign": [], "form": [], "formula": []}
    for scene in first_scenes("test", edition=seed):
        layouts[scene.layout].append(scene)
    by_category: dict[str, list[Scene]] = {}
    for scene in layouts["sign"]:
        sign = only_sign(scene)
        if sign is not None:
            by_category.setdefault(recognition_category(scene, sign), []).append(scene)
    chosen = [scene for found in by_category.values() for scene in found[:SIGNS_EACH]]
    formulas = [
        *[scene for scene in layouts["formula"] if _is_sum(scene)][:SUMS],
        *[scene for scene in layouts["formula"] if not _is_sum(scene)][:OTHER_FORMULAS],
    ]
    return ChartScenes(
        scenes=tuple([scene for scene in layouts["scene"] if _rich(scene)][:SCENES]),
        signs=tuple(sorted(chosen, key=lambda scene: scene.seed)),
        forms=tuple([scene for scene in layouts["form"] if len(fields(scene)) >= 2][:FORMS]),
        formulas=tuple(sorted(formulas, key=lambda scene: scene.seed)),
    )


def _rich(scene: Scene) -> bool:
    """Whether there is enough to ask about: two kinds or more, and nothing partly hidden."""
    return all_clear(scene) and len({thing.kind for thing in clear(scene)}) >= 2


def _is_sum(scene: Scene) -> bool:
    formula = only_formula(scene)
    return formula is not None and result(formula.text) is not None


@lru_cache(maxsize=1024)
def stored(scene: Scene) -> str:
    """The image as in a task file's image column: base64 of a JPEG without chroma subsampling."""
    stream = io.BytesIO()
    picture = Image.fromarray(render(scene))
    picture.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")

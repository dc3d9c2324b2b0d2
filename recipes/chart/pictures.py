"""The pictures of eyechart-mini: which held-out scenes, and how a task file stores them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from recipes.chart.ask_text import recognition_category
from recipes.chart.facts import all_clear, clear
from recipes.chart.reading import fields, only_formula, only_sign, result
from recipes.chart.render import render
from recipes.chart.sample import sample_scene
from recipes.chart.scene import Layout, Scene

# Stored as COCO stores its photographs: JPEG. A PNG of the same picture takes 79 KB, four times
# as much, and seven files have to fit into a package.
JPEG_QUALITY = 90

SCENES = 150
SIGNS_EACH = 8  # of every category of Text Recognition that a large sign can have
FORMS = 18
SUMS = 13
OTHER_FORMULAS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Held-out scenes by what can be asked about them, in the order in which they are used."""

    scenes: tuple[Scene, ...]
    signs: tuple[Scene, ...]
    forms: tuple[Scene, ...]
    formulas: tuple[Scene, ...]


def choose_pictures(seed: int) -> Pictures:
    """The pictures of one edition of the chart: `seed` says where in the test split to start."""
    start = 100_000 * seed
    scenes = _first(SCENES, _with_layout("scene", start), _rich)
    signs = [s for s in _take(_with_layout("sign", start), 2000) if only_sign(s)]
    by_category: dict[str, list[Scene]] = {}
    for scene in signs:
        sign = only_sign(scene)
        assert sign is not None
        by_category.setdefault(recognition_category(scene, sign), []).append(scene)
    chosen = [scene for found in by_category.values() for scene in found[:SIGNS_EACH]]
    formulas = [
        *_first(SUMS, _with_layout("formula", start), _is_sum),
        *_first(OTHER_FORMULAS, _with_layout("formula", start), lambda s: not _is_sum(s)),
    ]
    return Pictures(
        scenes=tuple(scenes),
        signs=tuple(sorted(chosen, key=lambda scene: scene.seed)),
        forms=tuple(_first(FORMS, _with_layout("form", start), lambda s: len(fields(s)) >= 2)),
        formulas=tuple(sorted(formulas, key=lambda scene: scene.seed)),
    )


def _with_layout(layout: Layout, start: int) -> Iterator[Scene]:
    for seed in range(start, start + 100_000):
        scene = sample_scene("test", seed)
        if scene.layout == layout:
            yield scene


def _take(scenes: Iterator[Scene], upto: int) -> Iterator[Scene]:
    for scene in scenes:
        if scene.seed % 100_000 >= upto:
            return
        yield scene


def _first(count: int, scenes: Iterator[Scene], allowed: Callable[[Scene], bool]) -> list[Scene]:
    found: list[Scene] = []
    for scene in scenes:
        if len(found) == count:
            break
        if allowed(scene):
            found.append(scene)
    return found


def _rich(scene: Scene) -> bool:
    """Whether there is enough to ask about: two kinds or more, nothing half hidden."""
    return all_clear(scene) and len({thing.kind for thing in clear(scene)}) >= 2


def _is_sum(scene: Scene) -> bool:
    formula = only_formula(scene)
    return formula is not None and result(formula.text) is not None


@lru_cache(maxsize=1024)
def stored(scene: Scene) -> str:
    """The picture as a task file's image column holds it: base64 of a JPEG without subsampling."""
    stream = io.BytesIO()
    picture = Image.fromarray(render(scene))
    picture.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")

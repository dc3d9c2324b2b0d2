"""The scene graph: the content of an image of the built-in chart.

`render` draws a `Scene`, `questions` makes questions about it, and `targets` the names that each
visual token shows. A scene is a pure function of (split, seed), so a data set is a list of seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

SIZE_PX = 224  # images are square; 16 x 16 patches of 14 px, 8 x 8 visual tokens after merging

Split = Literal["train", "test"]
Layout = Literal["scene", "sign", "form", "formula", "optotypes"]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels
Rng = np.random.Generator

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
BACKGROUNDS = ("sky", "grass", "sand", "water", "snow", "street", "room", "forest")
LIGHTS = ("day", "night")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One object: an emoji sprite (`colour` is None) or a textured coloured shape."""

    kind: str  # the noun in questions: "dog", "circle"
    group: str  # "animal", "food", "vehicle", "plant", "tool" or "shape"
    colour: str | None  # one of COLOURS for shapes
    x_px: float  # centre
    y_px: float
    size_px: float  # longer side before rotation
    rotation_deg: float
    box_px: Box  # clipped to the image


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line of text on a sign, a form or a board."""

    text: str  # upper-case letters, digits or a formula: exactly what is drawn
    role: str  # "word", "number", "label", "value", "formula"; of optotypes "letters", "ring"
    ink: str
    plate: str | None  # the sign's colour, None when written on paper
    font: str
    box_px: Box  # the plate; without one, the letters
    letter_boxes_px: tuple[tuple[str, Box], ...]  # (letter, its box)
    font_px: int = 32  # nominal size; capitals are about 0.7 of it high
    origin_px: tuple[int, int] = (0, 0)  # pen position: left, and top of the font's line


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The complete description of one image."""

    seed: int
    split: Split
    layout: Layout
    background: str  # one of BACKGROUNDS; "paper" for forms and formulas
    light: str  # one of LIGHTS
    things: tuple[Thing, ...]  # in drawing order: later ones are in front
    texts: tuple[Text, ...]
    contrast: float = 1.0  # of optotypes: (paper - ink) / paper

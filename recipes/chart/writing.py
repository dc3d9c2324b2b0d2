"""Lines of text, drawn letter by letter so that every letter's box is known exactly."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from recipes.chart.scene import Box, Text


@cache
def font(name: str, font_px: int) -> ImageFont.FreeTypeFont:
    """A font of fonts/ at one size, with PIL's basic layout, which is equal on all machines."""
    path = Path(__file__).parent / "fonts" / name
    return ImageFont.truetype(str(path), font_px, layout_engine=ImageFont.Layout.BASIC)


@cache
def _letter(name: str, font_px: int, letter: str) -> tuple[int, Box]:
    """Advance of one letter, and its box relative to the pen position."""
    face = font(name, font_px)
    left, top, right, bottom = (round(side) for side in face.getbbox(letter))
    return round(face.getlength(letter)) + max(1, font_px // 24), (left, top, right, bottom)


@cache
def font_px_for(name: str, capital_px: int) -> int:
    """The nominal size at which the capital H is at least `capital_px` high."""
    for font_px in range(capital_px, 3 * capital_px):
        _, (_, top, _, bottom) = _letter(name, font_px, "H")
        if bottom - top >= capital_px:
            return font_px
    raise ValueError(f"{name} has no size with capitals of {capital_px} px")


def letter_boxes(
    text: str, name: str, font_px: int, origin: tuple[int, int]
) -> list[tuple[str, Box]]:
    """(letter, box) of every letter that is not a space; the pen starts at `origin`."""
    pen, top_px = origin
    boxes = []
    for letter in text:
        advance, (left, top, right, bottom) = _letter(name, font_px, letter)
        if letter != " ":
            boxes.append((letter, (pen + left, top_px + top, pen + right, top_px + bottom)))
        pen += advance
    return boxes


def ink_box(boxes: list[tuple[str, Box]]) -> Box:
    """The box around all letters."""
    lefts, tops, rights, bottoms = zip(*(box for _, box in boxes), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def size_of(text: str, name: str, font_px: int) -> tuple[int, int]:
    """Width and height of the letters of a line."""
    left, top, right, bottom = ink_box(letter_boxes(text, name, font_px, (0, 0)))
    return right - left, bottom - top


def write(
    text: str, role: str, *, ink: str, name: str, font_px: int, at: tuple[int, int],
    plate: str | None = None, padding_px: int = 0,
) -> Text:  # fmt: skip
    """A Text. at: the upper left corner of its letters, or of the plate `padding_px` around
    them."""
    left, top, _, _ = ink_box(letter_boxes(text, name, font_px, (0, 0)))
    origin = (at[0] + padding_px - left, at[1] + padding_px - top)
    boxes = letter_boxes(text, name, font_px, origin)
    left, top, right, bottom = ink_box(boxes)
    pad = padding_px
    return Text(
        text=text, role=role, ink=ink, plate=plate, font=name, font_px=font_px, origin_px=origin,
        box_px=(left - pad, top - pad, right + pad, bottom + pad), letter_boxes_px=tuple(boxes),
    )  # fmt: skip


def draw_text(picture: Image.Image, text: Text, rgb: tuple[int, int, int]) -> None:
    """Draw the letters of `text` (not its plate) at their boxes."""
    draw = ImageDraw.Draw(picture)
    face = font(text.font, text.font_px)
    pen, top = text.origin_px
    for letter in text.text:
        draw.text((pen, top), letter, font=face, fill=rgb)
        pen += _letter(text.font, text.font_px, letter)[0]

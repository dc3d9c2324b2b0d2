"""The texts of a scene: signs, forms and formulas."""

from __future__ import annotations

import re

from recipes.chart.scene import Scene, Text


def only_sign(scene: Scene) -> Text | None:
    """The sign, if it is the only text of the image."""
    if len(scene.texts) == 1 and scene.texts[0].plate is not None:
        return scene.texts[0]
    return None


def only_formula(scene: Scene) -> Text | None:
    """The formula, if it is the only text of the image."""
    if len(scene.texts) == 1 and scene.texts[0].role == "formula":
        return scene.texts[0]
    return None


def fields(scene: Scene) -> list[tuple[str, str]]:
    """A form's (label, value) pairs from top to bottom, the label without its colon.

    A value belongs to the label to the left of it on the same line.
    """
    found: list[tuple[int, str, str]] = []
    values = [text for text in scene.texts if text.role == "value"]
    for label in (text for text in scene.texts if text.role == "label"):
        left, top, _, bottom = label.box_px
        middle = (top + bottom) / 2
        same_line = [
            value
            for value in values
            if value.box_px[1] <= middle <= value.box_px[3] and value.box_px[0] > left
        ]
        if len(same_line) == 1:
            found.append((top, label.text.rstrip(":"), same_line[0].text))
    return [(label, value) for _, label, value in sorted(found)]


def result(formula: str) -> int | None:
    """The result of a formula: 17 for "12+5=17"; None if it has none."""
    found = re.fullmatch(r"(\d+)([+-])(\d+)(?:=\d+)?", formula)
    if found is None:
        return None
    one, sign, other = found.groups()
    return int(one) + int(other) if sign == "+" else int(one) - int(other)


def signs(scene: Scene) -> list[Text]:
    """All texts on coloured plates."""
    return [text for text in scene.texts if text.plate is not None]

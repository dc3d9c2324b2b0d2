"""OCRBench: reading words, numbers, forms and formulas.

The categories of Text Recognition are imitated with the chart's fonts and layouts: Regular is a
large word in a plain font, Irregular a small sign among other things, Artistic a display font,
Handwriting a font that imitates it, Non-Semantic a string that is no word. An answer is the text
exactly as it is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

from recipes.chart.asking import HMER_PROMPT, KIE_SUFFIX, ChartQuestion, pick
from recipes.chart.reading import fields, only_formula, only_sign
from recipes.chart.scene import Rng, Scene, Text
from recipes.chart.vocabulary import TEST_WORDS, TRAIN_WORDS

_HANDWRITING = ("ComicNeue",)
_ARTISTIC = ("Quicksand", "RobotoSlab", "Dosis")
_WORDS = frozenset((*TRAIN_WORDS, *TEST_WORDS))

RECOGNITION = (
    "Regular Text Recognition",
    "Irregular Text Recognition",
    "Artistic Text Recognition",
    "Handwriting Recognition",
    "Digit String Recognition",
    "Non-Semantic Text Recognition",
)
SCENE_VQA = "Scene Text-centric VQA"
DOC_VQA = "Doc-oriented VQA"
KIE = "Key Information Extraction"
HMER = "Handwritten Mathematical Expression Recognition"


def _ask(category: str, question: str, answer: str) -> ChartQuestion:
    return ChartQuestion(
        task="OCRBench",
        category=category,
        question=question,
        answer=answer,
        references=(answer,),
    )


def recognition_category(scene: Scene, sign: Text) -> str:
    """Which of Text Recognition's categories an image with this one sign belongs to."""
    if sign.text.isdigit():
        return "Digit String Recognition"
    if sign.text not in _WORDS:
        return "Non-Semantic Text Recognition"
    if scene.layout == "scene":
        return "Irregular Text Recognition"
    if sign.font.startswith(_HANDWRITING):
        return "Handwriting Recognition"
    if sign.font.startswith(_ARTISTIC):
        return "Artistic Text Recognition"
    return "Regular Text Recognition"


def recognition(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What is written in the image?"""
    sign = only_sign(scene)
    if sign is None:
        return None
    category = recognition_category(scene, sign)
    asked = "the number" if category == "Digit String Recognition" else "written"
    return _ask(category, f"what is {asked} in the image?", sign.text)


def sign_says(sign: Text) -> ChartQuestion:
    """What does the red sign say? For a sign of a colour that no other sign has."""
    return _ask(SCENE_VQA, f"What does the {sign.plate} sign say?", sign.text)


def scene_vqa(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What does the red sign say?"""
    sign = only_sign(scene)
    return None if sign is None else sign_says(sign)


def doc_vqa(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What is the first value on the form? Or: which entry says 42?"""
    lines = fields(scene)
    if len(lines) < 2 or len({value for _, value in lines}) < len(lines):
        return None
    at = int(rng.integers(len(lines)))
    label, value = lines[at]
    if rng.random() < 0.5:
        return line_that_says(label, value)
    return value_on_line(lines, at)


def line_that_says(label: str, value: str) -> ChartQuestion:
    """Which line says 42?"""
    return _ask(DOC_VQA, f"Which line says {value}?", label)


def _nth(lines: Sequence[tuple[str, str]], at: int) -> str:
    return "last" if at == len(lines) - 1 else ("first", "second")[at]


def value_on_line(lines: Sequence[tuple[str, str]], at: int) -> ChartQuestion:
    """What is the value on the first line?"""
    return _ask(DOC_VQA, f"What is the value on the {_nth(lines, at)} line?", lines[at][1])


def read_line(lines: Sequence[tuple[str, str]], at: int) -> ChartQuestion:
    """What is written on the first line? Asked in training only."""
    question = f"what is written on the {_nth(lines, at)} line?"
    return _ask(DOC_VQA, question, ": ".join(lines[at]))


def kie(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What is the 'NAME' on this form?"""
    lines = fields(scene)
    if not lines:
        return None
    return value_of(*pick(rng, lines))


def value_of(label: str, value: str) -> ChartQuestion:
    """What is the value of 'NAME'?"""
    return _ask(KIE, f"what is the value of '{label}'?{KIE_SUFFIX}", value)


def hmer(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Write out the formula."""
    formula = only_formula(scene)
    return None if formula is None else _ask(HMER, HMER_PROMPT, formula.text)

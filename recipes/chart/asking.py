"""A question of the chart, and the exact prompt that a VLM gets.

Prompts of training and test must be equal to the character. So all of them are built here, in the
form that VLMEvalKit uses for its default model family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from recipes.chart.scene import Rng, Scene

TaskName = Literal["POPE", "GQA", "COCO", "OCRBench", "MME", "MMBench", "SEEDBench", "Acuity"]
# Those with a file; the task Acuity draws its own images.
TASKS: tuple[TaskName, ...] = ("POPE", "GQA", "COCO", "OCRBench", "MME", "MMBench", "SEEDBench")

LETTERS = "ABCD"
YES_NO_SUFFIX = " Please answer yes or no."
GQA_SUFFIX = "\nAnswer the question using a single word or phrase."
CHOICE_SUFFIX = "Please select the correct answer from the options above. \n"
KIE_SUFFIX = " Answer this question using the text in the image directly."
COCO_PROMPT = (
    "Please describe this image in general. Directly provide the description, "
    'do not include prefix like "This image depicts". '
)
HMER_PROMPT = "Please write out the expression of the formula in the image using LaTeX format."


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartQuestion:
    """A question with its right answer, as a row of a task file and as a training pair.

    question: the question column of the file; `prompt` is what the VLM gets. answer: what the VLM
    is trained to answer: "Yes" or "No", a short phrase, a caption, or an option letter.
    references: all right answers, for files that list several.
    shown: the name in the image that decides between yes and no ("left", "three"); "" if there is
    none, as for a thing that is absent.
    """

    task: TaskName
    category: str
    question: str
    answer: str
    options: tuple[str, ...] = ()
    ability: str = ""  # MMBench's L-2 ability, empty elsewhere
    references: tuple[str, ...] = ()
    shown: str = ""

    @property
    def prompt(self) -> str:
        """The prompt for a VLM of VLMEvalKit's default family."""
        if self.options:
            lines = [
                f"{letter}. {text}" for letter, text in zip(LETTERS, self.options, strict=False)
            ]
            listed = "\n".join(lines)
            return f"Question: {self.question}\nOptions:\n{listed}\n{CHOICE_SUFFIX}"
        return self.question + (GQA_SUFFIX if self.task == "GQA" else "")


T = TypeVar("T")
Maker = Callable[[Scene, Rng], ChartQuestion | None]
"""Makes one type of question about a scene; None if the question would be ambiguous."""

YesNoMaker = Callable[[Scene, Rng, bool], ChartQuestion | None]
"""As `Maker`; the third argument is the answer to produce. None if the scene does not allow it."""


def coin(make: YesNoMaker) -> Maker:
    """Draw the answer at random, so that yes and no are equally frequent."""

    def tossed(scene: Scene, rng: Rng) -> ChartQuestion | None:
        return make(scene, rng, bool(rng.integers(2)))

    return tossed


def pick(rng: Rng, items: Sequence[T]) -> T:
    """One item at random, all equally likely. `items` must not be empty."""
    return items[int(rng.integers(len(items)))]


def shuffled(rng: Rng, items: Sequence[T]) -> list[T]:
    """The items in random order."""
    return [items[int(i)] for i in rng.permutation(len(items))]


def choice(
    rng: Rng,
    *,
    task: TaskName,
    category: str,
    question: str,
    right: str,
    wrong: Sequence[str],
    ability: str = "",
    limit: int = 4,
) -> ChartQuestion | None:
    """A multiple-choice question: the right option among up to `limit` - 1 wrong ones.

    Wrong options are used in the order given, so the caller puts the most plausible ones first.
    They are shown in random order, so that every letter is right equally often. None without a
    wrong option.
    """
    distractors = [text for text in dict.fromkeys(wrong) if text != right][: limit - 1]
    if not distractors:
        return None
    options = shuffled(rng, [right, *distractors])
    return ChartQuestion(
        task=task,
        category=category,
        question=question,
        answer=LETTERS[options.index(right)],
        options=tuple(options),
        ability=ability,
    )


def with_letter(ask: ChartQuestion, letter: str) -> ChartQuestion:
    """The same multiple-choice question with its right option moved to `letter`."""
    options = list(ask.options)
    right = options.pop(LETTERS.index(ask.answer))
    options.insert(LETTERS.index(letter), right)
    return replace(ask, options=tuple(options), answer=letter)


def yes_no(answer: bool) -> str:
    """The answer as in the files of the yes/no tasks."""
    return "Yes" if answer else "No"

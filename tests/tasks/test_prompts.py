"""Every prompt, word for word, as VLMEvalKit builds it for each VLM family."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eyechart.core.prompts import prompt_families
from eyechart.core.types import Question, Task
from eyechart.tasks import choice
from eyechart.tasks.coco_caption import CocoCaption
from eyechart.tasks.gqa import Gqa
from eyechart.tasks.mmbench import MmBench
from eyechart.tasks.mme import Mme
from eyechart.tasks.ocrbench import OcrBench
from eyechart.tasks.pope import Pope
from eyechart.tasks.seedbench import SeedBench
from eyechart.tasks.table import TsvRow

POPE_TEXT = "Is there a cat in the image? Please answer yes or no."
MME_TEXT = "Is this a photo of Rome? Please answer yes or no."
DESCRIBE = (
    "Please describe this image in general. Directly provide the description, "
    'do not include prefix like "This image depicts". '
)
SHORT = "Answer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."


def ask(text: str, **more: object) -> Question:
    question = Question(id="1", image="1", text=text, answer="A")
    return replace(question, **more)  # type: ignore[arg-type]


CHOICE = ask("What is it?", options=(("A", "cat"), ("B", "None")))
HINTED = replace(CHOICE, hint="It purrs.")
CHINESE = ask("What is it?", options=(("A", "猫"), ("B", "狗")))


@pytest.mark.parametrize(
    ("task", "question", "family", "prompt"),
    [
        (Pope(), ask(POPE_TEXT), "default", POPE_TEXT),
        (Pope(), ask(POPE_TEXT), "internvl3", POPE_TEXT),
        (Pope(), ask(POPE_TEXT), "janus-pro", f"\nIs there a cat in the image?\n{SHORT}"),
        (Mme(), ask(MME_TEXT), "default", MME_TEXT),
        (Mme(), ask(MME_TEXT), "internvl3", f"{MME_TEXT} {SHORT}"),
        (Mme(), ask(MME_TEXT), "janus-pro", f"\n{MME_TEXT}\n{SHORT}"),
        (Gqa(), ask("Who?"), "default", f"Who?\n{SHORT}"),
        (Gqa(), ask("Who?"), "internvl3", f"Who?\n{SHORT}"),
        (Gqa(), ask("Who?"), "janus-pro", f"Who?\n{SHORT}"),
        (OcrBench(), ask("what is written?"), "default", "what is written?"),
        (OcrBench(), ask("what is written?"), "internvl3", f"what is written?\n{SHORT}"),
        (OcrBench(), ask("what is written?"), "janus-pro", "what is written?"),
        (CocoCaption(), ask(DESCRIBE), "default", DESCRIBE),
        (CocoCaption(), ask(DESCRIBE), "internvl3", DESCRIBE),
        (CocoCaption(), ask(DESCRIBE), "janus-pro", DESCRIBE),
        (
            SeedBench(),
            CHOICE,
            "default",
            "Question: What is it?\nOptions:\nA. cat\nB. None\n"
            "Please select the correct answer from the options above. \n",
        ),
        (SeedBench(), CHOICE, "internvl3", f"What is it?\nA. cat\nB. None\n{LETTER}"),
        (SeedBench(), CHOICE, "janus-pro", f"\nWhat is it?\nA. cat\nB. None\n\n{LETTER}"),
        (
            MmBench(),
            HINTED,
            "default",
            "Hint: It purrs.\nQuestion: What is it?\nOptions:\nA. cat\nB. None\n"
            "Please select the correct answer from the options above. \n",
        ),
        (MmBench(), HINTED, "internvl3", f"It purrs.\nWhat is it?\nA. cat\nB. None\n{LETTER}"),
        (
            MmBench(),
            HINTED,
            "janus-pro",
            f"\nHint: It purrs.\nWhat is it?\nA. cat\nB. None\n\n{LETTER}",
        ),
        (MmBench(), CHINESE, "internvl3", "What is it?\nA. 猫\nB. 狗\n请直接回答选项字母。"),
    ],
)
def test_prompt(task: Task, question: Question, family: str, prompt: str) -> None:
    assert task.prompt(question, family) == prompt


@pytest.mark.parametrize("task", [Pope(), Gqa(), CocoCaption(), OcrBench(), Mme(), MmBench()])
@pytest.mark.parametrize("family", ["qwen-vl-chat", "gpt-4o", "a family of tomorrow"])
def test_other_families_get_the_default(task: Task, family: str) -> None:
    assert task.prompt(HINTED, family) == task.prompt(HINTED, "default")


def test_the_families_of_the_paper_have_prompts_to_choose() -> None:
    paper = {"default", "qwen2_5_vl", "internvl3", "janus-pro", "qwen-vl-chat", "gpt-4o"}
    assert paper <= set(prompt_families())


@pytest.mark.parametrize("cell", ["None", "NA", "nan", ""])
def test_what_pandas_takes_for_an_empty_cell_is_no_hint(cell: str) -> None:
    cells = {"index": "1", "question": "?", "answer": "A", "A": "None", "B": "NA", "hint": cell}
    read = choice.question(TsvRow(number=1, cells=cells, image="i"), group="1")
    assert read.hint == ""
    assert read.options == (("A", "None"), ("B", "NA"))

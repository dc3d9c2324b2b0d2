"""Questions about own images: those of a file, or the usual ones and yes/no probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from eyechart.core.errors import InputError
from eyechart.core.files import is_file
from eyechart.core.images import image_size
from eyechart.core.types import Question
from eyechart.tasks.own_images import numbered_questions

# For images without questions: what a VLM is usually asked.
_OBJECTS = "objects"
_PROBES_OF_A_KIND, _MOST_NAME_WORDS = 2, 3
QUESTIONS = (
    ("describe", "Describe the image in one sentence."),
    (_OBJECTS, "List the objects in the image, separated by commas."),
    ("text", "What text is in the image? Answer with the text only, or with none."),
)


def yes_no_probes(asked: Sequence[Question]) -> list[Question]:
    """Yes/no questions about objects: those that the VLM lists on an image, and as many that it
    lists on other images only. asked: the default questions, with the VLM's answers."""
    listed = {
        question.image: _objects(question.answer)
        for question in asked
        if question.category == _OBJECTS
    }
    everywhere = list(dict.fromkeys(name for names in listed.values() for name in names))
    probes: list[Question] = []
    for image, names in listed.items():
        absent = [name for name in everywhere if name not in names]
        start = len(probes) % max(1, len(absent))
        others = (absent[start:] + absent[:start])[: len(names[:_PROBES_OF_A_KIND])]
        probes += [
            Question(
                id="",
                image=image,
                text=f"Is there {_article(name)} {name} in the image? Please answer yes or no.",
                answer="",
                category="probe",
            )
            for name in [*names[:_PROBES_OF_A_KIND], *others]
        ]
    return [replace(probe, id=str(place)) for place, probe in enumerate(probes)]


def _objects(answer: str) -> list[str]:
    """Names in a comma-separated list, of up to three words each."""
    parts = (part.strip(" .:;\"'").lower() for part in answer.replace("\n", ",").split(","))
    names = (part.removeprefix("a ").removeprefix("an ").removeprefix("the ") for part in parts)
    return list(
        dict.fromkeys(
            name
            for name in names
            if name.replace(" ", "").isalpha() and len(name.split()) <= _MOST_NAME_WORDS
        )
    )


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"


def default_questions(images: Sequence[Path]) -> list[Question]:
    """`QUESTIONS` about each image."""
    pairs = [(image, kind, text) for image in images for kind, text in QUESTIONS]
    return [
        Question(id=str(n), image=str(image.resolve()), text=text, answer="", category=kind)
        for n, (image, kind, text) in enumerate(pairs)
    ]


def own_questions(path: Path, photos: Path) -> list[Question]:
    """The questions of a file, with whole paths of their images.

    Raises InputError: a file that cannot be used; an image that is not there or cannot be read.
    """
    asked: list[Question] = []
    missing: dict[str, int] = {}  # with the line that names it first
    damaged: dict[str, int] = {}
    places: dict[str, str] = {}
    for line, question in numbered_questions(path):
        named = question.image
        if named not in places:
            image = photos / named
            places[named] = str(image.resolve())
            if not is_file(image):
                missing[named] = line
            elif image_size(image) == (0, 0):
                damaged[named] = line
        asked.append(replace(question, image=places[named]))
    _refuse(path, missing, f"is not in {photos}", "are not there")
    _refuse(path, damaged, "cannot be read", "cannot be read")
    return asked


def _refuse(path: Path, lines: Mapping[str, int], one: str, several: str) -> None:
    """Name the first image that cannot be used, and how many they are. Raises InputError."""
    if lines:
        image, line = next(iter(lines.items()))
        count = f"; {len(lines)} images of the file {several}" if len(lines) > 1 else ""
        raise InputError(f"{path}: line {line}: image {image!r} {one}{count}")

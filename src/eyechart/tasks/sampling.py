"""The order in which a task's images are asked.

The first images of a task, after `max_images` or a stopped run, should represent the whole task. So
the order is shuffled with a fixed seed, every category keeps its share in any beginning of it, and
a longer run begins with the images of a shorter one.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from eyechart.core.hooks import HasThresholds
from eyechart.core.types import Question, Task


def images_to_ask(task: Task, max_images: int | None = None) -> list[tuple[str, list[Question]]]:
    """The images of a task that a run with `max_images` asks, each with its questions.

    A task with thresholds is asked whole: a threshold needs all its sizes.
    """
    limit = None if isinstance(task, HasThresholds) else max_images
    return by_image(task.questions(), limit)


def by_image(
    questions: Sequence[Question], max_images: int | None = None
) -> list[tuple[str, list[Question]]]:
    """(image key, its questions in file order), the first `max_images` in sampling order."""
    asked: defaultdict[str, list[Question]] = defaultdict(list)
    for question in questions:
        asked[question.image].append(question)
    categories: defaultdict[str, list[str]] = defaultdict(list)
    for image, its in asked.items():
        categories[its[0].category].append(image)
    place: dict[str, tuple[float, str]] = {}
    for images in categories.values():
        for rank, image in enumerate(sorted(images, key=_shuffled)):
            # Spread evenly over 0..1, so that any beginning holds the share of every category.
            place[image] = ((rank + 0.5) / len(images), _shuffled(image))
    order = sorted(asked, key=lambda image: place[image])
    return [(image, asked[image]) for image in order[:max_images]]


def _shuffled(image: str) -> str:
    return hashlib.sha256(image.encode()).hexdigest()

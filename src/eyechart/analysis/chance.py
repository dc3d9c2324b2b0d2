"""Whether a VLM answers a task better than a guess that ignores the image.

A curve of a VLM at chance level is no information on a codec, because there is no score to lose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eyechart.analysis.bootstrap import Resampling, interval
from eyechart.core.hooks import chance_of
from eyechart.core.types import Record, Task


def chances(task: Task) -> dict[str, float]:
    """Chance (0..1) that a guess is right, by question id, of questions with a chance level."""
    found = {question.id: chance_of(task, question) for question in task.questions()}
    return {key: chance for key, chance in found.items() if chance is not None}


def chance_note(
    records: Sequence[Record], chance: Mapping[str, float], resampling: Resampling
) -> str:
    """One line if the share of right answers is not above that of a guess, else "".

    It uses the mean of (score - chance) over the questions, with its 95 % interval from the
    resampling of the images. "" also if an answered question has no chance level.
    """
    if not records or any(record.question_id not in chance for record in records):
        return ""
    row_of = {image: row for row, image in enumerate(resampling.images)}
    sums = np.zeros((len(row_of), 2))  # above chance, questions
    for record in records:
        sums[row_of[record.image]] += record.value - chance[record.question_id], 1
    drawn = resampling.weights @ sums
    present = drawn[:, 1] > 0
    above, asked = sums.sum(axis=0)
    if interval(above / asked, drawn[present, 0] / drawn[present, 1]).low > 0:
        return ""
    right = np.mean([record.value for record in records])
    guess = np.mean([chance[record.question_id] for record in records])
    return (
        f"at chance level: {100 * right:.1f} % of the uncompressed images' answers are right, "
        f"{100 * guess:.1f} % of guesses"
    )

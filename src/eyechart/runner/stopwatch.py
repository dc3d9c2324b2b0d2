"""Sums of the seconds that a VLM's turn took, by cell."""

from __future__ import annotations

from collections.abc import Sequence

from eyechart.codecs.reconstruct import DecodedImage
from eyechart.runner.reconstruction import PreparedItem
from eyechart.store.timings import Timing


class Stopwatch:
    """Sums by the key of the cell."""

    def __init__(self) -> None:
        self.by_cell: dict[str, Timing] = {}

    def count(self, batch: Sequence[PreparedItem], answer_s: float) -> None:
        """Add an answered batch. Its seconds are shared by its questions, which are alike if the
        batch is of one cell. An image that was stored took no time and is not counted."""
        questions = sum(len(prepared.item.questions) for prepared in batch)
        for prepared in batch:
            timing = self.by_cell.setdefault(prepared.item.cell.key, Timing())
            asked = len(prepared.item.questions)
            timing.add(Timing(answer_s=answer_s * asked / questions, answered=asked))
            image = prepared.image
            if not isinstance(image, DecodedImage):
                continue
            if image.encode_s:
                timing.add(Timing(encode_s=image.encode_s, encoded=1))
            if image.decode_s:
                timing.add(Timing(decode_s=image.decode_s, decoded=1))

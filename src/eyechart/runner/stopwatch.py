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
        batch is of one cell. An image that could not be made was not asked about; one that was
        stored took no time. Neither is counted."""
        shown = [
            (prepared, prepared.image)
            for prepared in batch
            if isinstance(prepared.image, DecodedImage)
        ]
        questions = sum(len(prepared.item.questions) for prepared, _ in shown)
        for prepared, image in shown:
            timing = self.by_cell.setdefault(prepared.item.cell.key, Timing())
            asked = len(prepared.item.questions)
            timing.add(Timing(answer_s=answer_s * asked / questions, answered=asked))
            if image.encode_s:
                timing.add(Timing(encode_s=image.encode_s, encoded=1))
            if image.decode_s:
                timing.add(Timing(decode_s=image.decode_s, decoded=1))

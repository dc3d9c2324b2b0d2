"""Scores without and with a new adapter on a few images; `eyechart run` does the full benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eyechart.adapters.condition import SOURCE, Condition
from eyechart.codecs.reconstruct import BATCH_IMAGES, Reconstructor, SourceImage
from eyechart.core import plugins
from eyechart.core.attempt import Failed
from eyechart.core.hooks import for_task
from eyechart.core.types import VLM, Codec, Decoding, Question, Request, Rgb8, Score, Task
from eyechart.tasks.sampling import images_to_ask


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreChange:
    """One task under one condition: the headline metric without and with the adapter."""

    task: str
    condition: str
    without: float
    with_adapter: float


def compare(
    plain: VLM,
    adapted: VLM,
    tasks: Sequence[Task],
    codecs: Sequence[Codec],
    *,
    images: int,
    device: str = "cpu",
    batch_images: int = BATCH_IMAGES,
) -> Iterator[ScoreChange]:
    """Scores on the first `images` images of each task, in the order of a run, uncompressed and at
    every level of every codec.

    device, batch_images: for codecs with weights.

    Raises ImageError, CodecError, VLMError, PluginError.
    """
    reconstructor = Reconstructor(device=device, batch_images=batch_images)
    for task in tasks:
        with plugins.guarded(plugins.name_of(task)):
            asked = dict(images_to_ask(task, images))
            uncompressed = {key: task.image(key) for key in asked}
        without, with_adapter = for_task(plain, task.name), for_task(adapted, task.name)
        for condition, shown in _forms(uncompressed, codecs, reconstructor):
            yield ScoreChange(
                task=task.name,
                condition="/".join(condition),
                without=_score(without, task, asked, shown, condition),
                with_adapter=_score(with_adapter, task, asked, shown, condition),
            )


def _forms(
    uncompressed: dict[str, Rgb8], codecs: Sequence[Codec], reconstructor: Reconstructor
) -> Iterator[tuple[Condition, dict[str, Rgb8]]]:
    yield SOURCE, uncompressed
    images = [SourceImage.of(rgb8, key) for key, rgb8 in uncompressed.items()]
    for codec in codecs:
        for level in codec.levels:
            decoded = {}
            for key, made in zip(
                uncompressed, reconstructor.reconstruct(codec, level, images), strict=True
            ):
                if isinstance(made, Failed):
                    made.raise_error()
                decoded[key] = made.rgb8
            reconstructor.close()  # the VLM needs the memory
            yield (codec.name, level.name), decoded


def _score(
    vlm: VLM,
    task: Task,
    asked: dict[str, list[Question]],
    shown: dict[str, Rgb8],
    condition: Condition,
) -> float:
    with plugins.guarded(plugins.name_of(task)):
        requests = [
            Request(
                image=shown[key],
                prompts=tuple(task.prompt(question, vlm.family) for question in questions),
                codec=condition[0],
                level=condition[1],
            )
            for key, questions in asked.items()
        ]
        # The token limit of the whole task, as in a run, independent of the images chosen.
        limit = max(map(task.max_new_tokens, task.questions()))
    answers = vlm.answer(requests, Decoding(max_new_tokens=limit))
    with plugins.guarded(plugins.name_of(task)):
        scores: list[Score] = [
            task.score(question, answer.text)
            for questions, given in zip(asked.values(), answers, strict=True)
            for question, answer in zip(questions, given, strict=True)
        ]
        return task.summarize(scores)[task.headline_metric]

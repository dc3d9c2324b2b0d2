"""A small codec, task and VLM, with which a run takes milliseconds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NoReturn

import numpy as np

from eyechart.core.errors import CodecError, ImageError
from eyechart.core.types import (
    Answer,
    Bitstream,
    Decoding,
    Floats,
    ImageSums,
    Json,
    Level,
    Question,
    Reproducible,
    Request,
    Rgb8,
    Score,
    component_of,
)
from eyechart.runner.work import CodecLevels, ModelConfig, Work, task_work


class NotPicklable(np.ndarray):  # type: ignore[type-arg]
    """An array that stays in its process."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("by design")


@dataclass
class FakeCodec:
    """Keeps every n-th grey value. `bad_images`: mean grey values that it cannot encode."""

    name: str = "fake"
    version: str = "1"
    options: Mapping[str, Json] = field(default_factory=dict)
    bad_images: tuple[int, ...] = ()
    dies_on: tuple[int, ...] = ()
    exits_on: tuple[int, ...] = ()  # sys.exit
    stays_on: tuple[int, ...] = ()  # decoded images that cannot be pickled
    wrong_size: bool = False
    log: str = ""  # a file that gets one byte an encoding

    levels = (
        Level(name="low", rank=0, knobs={"step": 64}),
        Level(name="high", rank=1, knobs={"step": 4}),
    )

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        if self.log:
            with open(self.log, "ab") as file:  # noqa: PTH123
                file.write(b".")
        grey = int(rgb8[0, 0, 0])
        if grey in self.dies_on:
            os._exit(9)
        if grey in self.exits_on:
            sys.exit("by design")
        if grey in self.bad_images:
            raise CodecError("cannot", codec=self.name)
        height, width, _ = rgb8.shape
        step = level.knobs["step"]
        assert isinstance(step, int)
        payload = bytes([height, width]) + (rgb8 // step * step).tobytes()[:: 1 if step < 9 else 3]
        return Bitstream(payload=payload, height_px=height, width_px=width)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        height, width = bitstream.payload[:2]
        data = np.frombuffer(bitstream.payload[2:], np.uint8)
        if self.wrong_size:
            return np.zeros((1, 1, 3), np.uint8)
        if self.stays_on and data[0] // 4 in {grey // 4 for grey in self.stays_on}:
            return data.reshape(height, width, 3).view(NotPicklable)
        if len(data) == height * width:
            return np.repeat(data, 3).reshape(height, width, 3)
        return data.reshape(height, width, 3)


@dataclass
class FakeNeuralCodec:
    """A codec with weights, by the shape of it. `log`: a file with a line for each call."""

    log: str = os.devnull
    name: str = "fake-neural"
    version: str = "1"
    options: Mapping[str, Json] = field(default_factory=dict)
    reproducible: Reproducible = "bitwise"

    levels = (Level(name="only", rank=0, knobs={}, weights="0" * 64),)

    def check(self) -> None: ...

    def load(self, level: Level, device: str) -> LoadedFake:
        return LoadedFake(self.log, device)

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return self.load(level, "cpu").encode([rgb8])[0]

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return self.load(self.levels[0], "cpu").decode([bitstream])[0]


@dataclass
class LoadedFake:
    """Keeps the pixels as they are."""

    log: str
    device: str

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        self._note("encode", len(images))
        return [
            Bitstream(payload=image.tobytes(), height_px=image.shape[0], width_px=image.shape[1])
            for image in images
        ]

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        self._note("decode", len(bitstreams))
        return [
            np.frombuffer(one.payload, np.uint8).reshape(one.height_px, one.width_px, 3)
            for one in bitstreams
        ]

    def close(self) -> None: ...

    def _note(self, what: str, images: int) -> None:
        with open(self.log, "a") as file:  # noqa: PTH123
            file.write(f"{what} {images} {self.device}\n")


@dataclass
class FakeTask:
    """`images` grey images, `per_image` questions each: how bright?"""

    name: str = "Fake"
    version: str = "1"
    options: Mapping[str, Json] = field(default_factory=dict)
    images: int = 3
    per_image: int = 2
    bad_image: str = ""
    strict: bool = False
    headline_metric: str = "accuracy"

    def questions(self) -> Sequence[Question]:
        return [
            Question(id=str(n), image=f"i{n % self.images}", text=f"q{n}", answer="x", group=str(n))
            for n in range(self.images * self.per_image)
        ]

    def image(self, key: str) -> Rgb8:
        if key == self.bad_image:
            raise ImageError(f"{key}: not a readable image")
        return np.full((2, 3, 3), (10 * int(key[1:]) + 5) % 256, np.uint8)

    def prompt(self, question: Question, vlm_family: str) -> str:
        return f"{vlm_family}:{question.text}"

    def max_new_tokens(self, question: Question) -> int:
        return 4 + int(question.id)

    def score(self, question: Question, answer: str) -> Score:
        right = len(answer) % 2 == 0 or self.strict
        return Score(question_id=question.id, value=right, parsed_answer=answer[:3], parsed=True)

    def summarize(self, scores: Sequence[Score]) -> dict[str, float]:
        return {"accuracy": sum(score.value for score in scores) / max(len(scores), 1)}

    def image_sums(self, scores: Sequence[Score]) -> ImageSums:
        raise NotImplementedError

    def headline(self, sums: Floats) -> Floats:
        raise NotImplementedError


@dataclass
class FakeVLM:
    """Answers with the prompt and the image's mean grey. `refuse` may raise for a request."""

    name: str = "fake-vlm"
    version: str = "1"
    options: Mapping[str, Json] = field(default_factory=dict)
    family: str = "fam"
    refuse: Callable[[Request], None] | None = None
    calls: list[list[Request]] = field(default_factory=list)

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        self.calls.append(list(requests))
        for request in requests:
            if self.refuse is not None:
                self.refuse(request)
        return [
            [
                Answer(text=f"{prompt} {request.image.mean():.2f} ü", tokens=1)
                for prompt in request.prompts
            ]
            for request in requests
        ]


def levels_of(codec: FakeCodec | FakeNeuralCodec) -> CodecLevels:
    """All levels of a fake codec, which run_fakes-1.dist-info registers as a plug-in."""
    plugin = "fake-codec" if isinstance(codec, FakeCodec) else "fake-neural"
    return CodecLevels(codec=codec, plugin=plugin, options=asdict(codec), levels=codec.levels)


def fake_work(
    vlm: FakeVLM | None = None,
    codecs: Sequence[FakeCodec | FakeNeuralCodec] = (FakeCodec(),),
    tasks: Sequence[FakeTask] = (FakeTask(),),
    max_images: int | None = None,
) -> Work:
    model = vlm or FakeVLM()
    return Work(
        models=(ModelConfig(vlm=component_of(model), adapter=None, open=lambda: model),),
        codecs=tuple(levels_of(codec) for codec in codecs),
        tasks=tuple(task_work(task, max_images) for task in tasks),
    )

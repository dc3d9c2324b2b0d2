"""A codec, task, VLM, family and metric that work, until $BROKEN names one of their members.

    BROKEN=task.score     every access of that member raises ZeroDivisionError("by design")
    TOY_FILE=missing.tsv  the file that the task says it reads

Installed as the names `toy-codec`, `toy-neural`, `toy-task`, `toy-vlm`, `toy-family`, `toy-metric`.
`toy-injection` and the tower of `toy-family` never work.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from eyechart.core.hooks import TaskFile
from eyechart.core.prompts import PromptStyle
from eyechart.core.types import Answer, Bitstream, ImageSums, Level, Question, Score
from eyechart.vlms import Family, KnownVLM


class Breakable:
    kind = ""

    def __getattribute__(self, name: str) -> Any:
        if os.environ.get("BROKEN") == f"{object.__getattribute__(self, 'kind')}.{name}":
            raise ZeroDivisionError("by design")
        return object.__getattribute__(self, name)


class Codec(Breakable):
    kind, name, version, options, adapted_from = "codec", "toy-codec", "1", {}, ""
    category = "learned"
    levels = (Level(name="only", rank=0, knobs={}),)

    def level_at(self, text):
        return self.levels[0]

    def encode(self, rgb8, level):
        height_px, width_px, _ = rgb8.shape
        payload = height_px.to_bytes(2, "big") + width_px.to_bytes(2, "big") + rgb8.tobytes()
        return Bitstream(payload=payload, height_px=height_px, width_px=width_px)

    def decode(self, bitstream):
        shape = bitstream.height_px, bitstream.width_px, 3
        return np.frombuffer(bitstream.payload[4:], np.uint8).reshape(shape)

    def bitstream_from_payload(self, payload):
        height_px, width_px = (int.from_bytes(payload[at : at + 2], "big") for at in (0, 2))
        return Bitstream(payload=payload, height_px=height_px, width_px=width_px)


class Loaded(Breakable):
    kind = "loaded"

    def encode(self, images):
        return [Codec().encode(rgb8, None) for rgb8 in images]

    def decode(self, bitstreams):
        return [Codec().decode(bitstream) for bitstream in bitstreams]

    def estimate_bits(self, images):
        return [8.0 * rgb8.size for rgb8 in images]

    def close(self):
        pass


class Neural(Codec):
    kind, name, reproducible = "neural", "toy-neural", "bitwise"

    def check(self):
        pass

    def load(self, level, device):
        return Loaded()


class Published:
    name, url, md5, rows, image_count = "toys.tsv", "https://toys.example/toys.tsv", "0", 700, 70


class Task(Breakable):
    kind, name, version, options, headline_metric = "task", "toy-task", "1", {}, "right"

    def questions(self):
        return [Question(id=f"{n}", image="grey", text="?", answer="Yes") for n in range(3)]

    def image(self, key):
        return np.full((8, 8, 3), 99, np.uint8)

    def check_images(self, keys):
        pass

    def prompt(self, question, family):
        return question.text

    def max_new_tokens(self, question):
        return 4

    def choices(self, question):
        return ("Yes", "No")

    def chance(self, question):
        return 0.5

    def data_file(self):
        path = Path(os.environ.get("TOY_FILE", __file__))
        found = path if path.is_file() else None
        return TaskFile(path=found, origin="data", published=(Published(),))

    def describe_file(self):
        return {"languages": "en, de"}

    def score(self, question, answer):
        right = answer == question.answer
        return Score(question_id=question.id, value=float(right), parsed_answer=answer, parsed=True)

    def summarize(self, scores):
        return {"right": float(self.headline(self.image_sums(scores).sums.sum(axis=0)))}

    def image_sums(self, scores):
        sums = np.array([[sum(score.value for score in scores), len(scores)]])
        return ImageSums(images=("grey",), sums=sums)

    def headline(self, sums):
        return 100 * sums[..., 0] / np.maximum(sums[..., 1], 1)


class Tokens:
    input_tokens = output_tokens = 1


class Vlm(Breakable):
    kind, name, version, options, family = "vlm", "toy-vlm", "1", {}, "toy-family"
    questions_at_once, address, spent_usd, spent = 4, "http://here", 0.1, Tokens()

    def check(self):
        pass

    def for_task(self, task):
        return self

    def estimate_usd(self, requests, decoding):
        return 0.1

    def answer(self, requests, decoding):
        return [[Answer(text="Yes", tokens=1) for _ in one.prompts] for one in requests]


class Metric(Breakable):
    kind, name, version, unit, higher_is_better = "metric", "toy-metric", "1", "", True

    def measure(self, reference, decoded):
        return float(np.abs(reference.astype(int) - decoded).mean())

    def decibels(self, value):
        return value


def _fails(member: str) -> None:
    if os.environ.get("BROKEN") == f"family.{member}":
        raise ZeroDivisionError("by design")


def open_family(**options):
    _fails("open")
    return Vlm()


def why_not_ready(known):
    _fails("why_not_ready")


def tower(model):
    raise ZeroDivisionError("by design")


class Injection:
    needs_rotary = False

    @classmethod
    def for_tower(cls, tower, rows):
        raise ZeroDivisionError("by design")


def own_prompt(question):
    _fails("prompts")
    return "own"


FAMILY = Family(
    open=open_family,
    known=(KnownVLM(name="toy-known"),),
    why_not_ready=why_not_ready,
    model_types=("toy-type",),
    tower=tower,
    prompts=PromptStyle(multiple_choice=own_prompt, by_task={"POPE": own_prompt}),
)

"""What the built-in VLM is trained on: which images and questions, in which order.

Everything is a function of the scene's number, so that all sizes of the VLM see the same data in
the same order, whatever the batch size and the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from recipes.chart.asking import LETTERS, ChartQuestion
from recipes.chart.balance import first_scenes, shares, writings
from recipes.chart.packing import Packer
from recipes.chart.pages import (
    ask_crowd,
    ask_form,
    ask_page,
    sample_crowd,
    sample_form,
    sample_page,
)
from recipes.chart.questions import TARGET_NAMES, WEIGHTS, ask, token_targets
from recipes.chart.render import render_planes
from recipes.chart.sample import sample_scene
from recipes.chart.scene import Scene, Split
from recipes.chart.targets import right_letters

QUESTIONS_A_SCENE = 16  # questions made; those that fit into a row are packed
# At first only questions about existence, colour and text.
EASY = {"pope": 6.0, "gqa_query_color": 3.0, "gqa_query_quarter": 2.0, "gqa_query_shape": 2.0,
        "gqa_query_place": 0.5, "gqa_query_group": 1.0, "gqa_choose_color": 1.0, "coco": 1.0,
        "ocr_recognition": 6.0, "seed_identity": 1.0, "seed_location": 2.0}  # fmt: skip
EASY_SCENES = 24_000
# Later all types. What needs several things at once is learned last, so it is asked most.
LATER = {**WEIGHTS,
         "pope": 5.0, "gqa_query_color": 2.0, "gqa_query_quarter": 2.0, "gqa_query_shape": 2.0,
         "ocr_recognition": 6.0, "ocr_kie": 4.0, "ocr_doc_vqa": 4.0, "mmbench_form": 3.0,
         "mme_ocr": 2.0, "mme_calculation": 3.0, "seed_text": 2.0, "mmbench_ocr": 2.0,
         "seed_location": 3.0, "mmbench_localization": 2.0, "gqa_choose_side": 2.0,
         "gqa_verify_side": 3.0, "seed_relation": 3.0, "mmbench_spatial": 2.0,
         "gqa_choose_relation": 2.0, "gqa_verify_relation": 5.0, "mme_position": 4.0,
         "gqa_query_relation": 2.0, "gqa_compare_size": 4.0, "gqa_compare_which": 3.0,
         "gqa_compare_number": 3.0, "gqa_verify_color": 2.0, "mme_color": 2.0,
         "mmbench_comparison": 4.0, "mme_commonsense": 2.0, "seed_interaction": 2.0,
         "seed_interaction_front": 2.0}  # fmt: skip
# Of 16 training scenes: pages of signs, forms and crowds; the others are ordinary scenes.
PAGES, FORMS, CROWDS = (0, 5, 10), (3, 11), (7, 14)


def prepare() -> None:
    """Count what the questions are balanced by, once for all workers that are started later."""
    shares()
    writings("train")


def target_answer(asked: ChartQuestion) -> str:
    """The answer that the VLM is trained to give, in a form that the scorers parse.

    For multiple choice the text of the right option ("red"): for the letter the model would have to
    find the text among the options first. For yes and no the name that decides comes first
    ("dog. Yes", "left. No"), because a small model learns early to name what the image shows.
    GQA's answers are a single word, as its scorer needs.
    """
    if asked.options:
        return asked.options[LETTERS.index(asked.answer)]
    return f"{asked.shown}. {asked.answer}" if asked.shown else asked.answer


def draw(split: Split, seed: int) -> tuple[Scene, list[ChartQuestion]]:
    """A scene and the questions about it; in training every 16 scenes have the same kinds."""
    rng = np.random.default_rng([seed, 1])
    if split == "train" and seed % 16 in PAGES:
        scene = sample_page(seed)
        return scene, ask_page(scene)
    if split == "train" and seed % 16 in FORMS:
        scene = sample_form(seed)
        return scene, ask_form(scene, rng)
    if split == "train" and seed >= EASY_SCENES and seed % 16 in CROWDS:
        scene = sample_crowd(seed)
        return scene, ask_crowd(scene, rng)
    scene = sample_scene(split, seed)
    easy = split == "train" and seed < EASY_SCENES
    return scene, balanced(ask(scene, rng, QUESTIONS_A_SCENE, EASY if easy else LATER))


def balanced(asks: list[ChartQuestion]) -> list[ChartQuestion]:
    """Keep as many No as Yes answers to "is there a ...?". Most kinds are absent from a scene, and
    a model that is trained on more No than Yes answers No too often."""
    present = sum(a.task == "POPE" and a.answer == "Yes" for a in asks)
    kept, absent = [], 0
    for a in asks:
        if a.task == "POPE" and a.answer == "No":
            absent += 1
            if absent > max(present, 1):
                continue
        kept.append(a)
    return kept


def training_texts() -> Iterator[str]:
    """Prompts and answers from which the tokenizer is learned, and names that must be one token."""
    for scene in first_scenes("train"):
        for a in ask(scene, np.random.default_rng([scene.seed, 1]), 8):
            yield a.prompt
            yield target_answer(a)
    for name in TARGET_NAMES:
        if name.islower():
            yield from (f"{name} {name}",) * 20


class Batches(torch.utils.data.IterableDataset[dict[str, Any]]):
    """Batches of consecutive scenes from seed `start`; worker w of n draws every n-th batch.

    Without `count` they never end. A batch's arrays, with B scenes of L tokens, N tokens of answers
    and Q questions: image (B, 3, 224, 224), shown (B, 64, names) and right (B, 64, letters) for the
    probe, ids (B, L), position (B, 3, L) and block (B, L) as in `PackedRow`; at (N,), target (N,),
    weight (N,) and question (N,): index of an answer's token among all B x L, its target, its
    weight, and its question; kinds: the type of each question.
    """

    def __init__(
        self, tokenizer: Any, split: Split, start: int, batch: int, count: int | None = None
    ) -> None:
        self.tokenizer, self.split = tokenizer, split
        self.start, self.batch, self.count = start, batch, count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = torch.utils.data.get_worker_info()
        at, step = (worker.id, worker.num_workers) if worker else (0, 1)
        packer = Packer(self.tokenizer)
        while self.count is None or at < self.count:
            first = self.start + at * self.batch
            yield self._batch(packer, range(first, first + self.batch))
            at += step

    def _batch(self, packer: Packer, seeds: range) -> dict[str, Any]:
        drawn = [draw(self.split, seed) for seed in seeds]
        rows = [
            packer.pack([(f"{a.task}/{a.category}", a.prompt, target_answer(a)) for a in asks])
            for _, asks in drawn
        ]
        block = np.stack([row.block for row in rows])
        target = np.stack([row.target for row in rows]).ravel()
        at = np.flatnonzero(target >= 0)
        before = np.cumsum([0, *(len(row.kinds) for row in rows)])[:-1]
        question = (block + before[:, None] - 1).ravel()[at]
        return {
            "image": np.stack([render_planes(scene) for scene, _ in drawn]),
            "shown": np.stack([token_targets(scene) for scene, _ in drawn]),
            "right": np.stack([right_letters(scene) for scene, _ in drawn]),
            "ids": np.stack([row.ids for row in rows]).astype(np.int16),
            "position": np.stack([row.position for row in rows]).astype(np.int16),
            "block": block.astype(np.int16),
            "at": at.astype(np.int32),
            "target": target[at].astype(np.int16),
            "weight": np.stack([row.weight for row in rows]).ravel()[at],
            "question": question.astype(np.int32),
            "kinds": tuple(kind for row in rows for kind in row.kinds),
        }


def _as_it_is(batch: Any) -> Any:
    return batch


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)


def drawn_batches(batches: Batches, workers: int) -> Iterator[dict[str, Any]]:
    """The batches in order, drawn ahead by `workers` processes (0: by this one).

    Arrays stay numpy arrays, which travel through pipes: containers often have too little shared
    memory for tensors.
    """
    return iter(
        torch.utils.data.DataLoader(
            batches,
            batch_size=None,
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=_one_thread,
            prefetch_factor=3 if workers else None,
        )
    )

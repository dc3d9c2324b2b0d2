"""The training recipe computes what the library's model computes, and resumes where it stopped."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from eyechart.core.types import Decoding, Request
from eyechart.vlms.mini import EyechartMini
from recipes.chart.ask_yesno import pope_about
from recipes.chart.asking import ChartQuestion
from recipes.chart.attention import OwnQuestions, WholeRows, layout_of
from recipes.chart.curriculum import Batches, drawn_batches, target_answer
from recipes.chart.forward import ChartForward
from recipes.chart.packing import Packer
from recipes.chart.scene import SIZE_PX
from recipes.chart.ship import card, ship
from recipes.chart.train_vlm import parse, rate_factor, train
from recipes.chart.vlm import SIZES, build_image_processor, build_model, build_tokenizer

TEXTS = ["Is there a dog in the image? Please answer yes or no.", "What color is it?", "Yes", "red"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(TEXTS * 20)


@pytest.mark.parametrize("size", SIZES)
def test_packed_questions_get_the_logits_of_questions_asked_alone(
    tokenizer: Any, size: str
) -> None:
    model = build_model(tokenizer, size).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    inputs = build_image_processor()(images=[Image.fromarray(pixels)], return_tensors="pt")
    asked = [("a", TEXTS[0], "Yes"), ("b", TEXTS[1], "red")]
    packer, lean = Packer(tokenizer), ChartForward(model)
    row = packer.pack(asked)
    layout = layout_of(torch.from_numpy(row.block)[None])
    with torch.no_grad():
        visual = lean.encode_images(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None])
        expected = model.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"])
        torch.testing.assert_close(visual[0], expected.pooler_output, atol=1e-4, rtol=1e-4)
        hidden = lean.hidden_states(
            torch.from_numpy(row.ids)[None],
            visual,
            packer.first,
            torch.from_numpy(row.position)[:, None],
            layout,
        )
        for number, (_, prompt, answer) in enumerate(asked, start=1):
            mine = row.block == number
            alone = _alone(model, tokenizer, inputs, prompt, answer)[-int(mine.sum()) :]
            packed = lean.head(hidden[layout.index_of(torch.from_numpy(np.flatnonzero(mine)))])
            torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-4)


def _alone(model: Any, tokenizer: Any, inputs: Any, prompt: str, answer: str) -> torch.Tensor:
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    text = text.replace("<|image_pad|>", "<|image_pad|>" * 64) + answer + "<|im_end|>"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    image = (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
    logits: torch.Tensor = model(input_ids=ids, mm_token_type_ids=image, **inputs).logits[0]
    return logits


def test_both_layouts_give_one_attention_and_gradient(tokenizer: Any) -> None:
    batch = next(drawn_batches(Batches(tokenizer, "train", 0, 4), 0))
    block = torch.from_numpy(batch["block"])
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3, block.numel(), 2, 8, generator=generator)
    found = []
    for layout in (WholeRows(block), OwnQuestions(block)):
        leaf = rows.clone().requires_grad_()
        out = layout.attend(*leaf.index_select(1, layout.kept))
        answers = out[layout.index_of(torch.from_numpy(batch["at"]).long())]
        answers.square().sum().backward()
        found.append((answers.detach(), leaf.grad))
    for whole, own in zip(*found, strict=True):
        torch.testing.assert_close(own, whole, atol=1e-4, rtol=1e-4)


def test_signs_are_spelled_letter_by_letter(tokenizer: Any) -> None:
    assert tokenizer.tokenize("STOP") == ["S", "T", "O", "P"]


def test_an_option_is_recognised_by_its_text() -> None:
    asked = ChartQuestion(
        task="SEEDBench", category="", question="?", answer="B", options=("blue", "red", "green")
    )
    assert target_answer(asked) == "red"


def test_what_is_there_is_named() -> None:
    there, absent = pope_about("dog", answer=True), pope_about("dog", answer=False)
    assert (target_answer(there), target_answer(absent)) == ("dog. Yes", "No")


@pytest.mark.parametrize(("size", "millions"), [("s", 2), ("m", 7), ("l", 16)])
def test_sizes_are_as_large_as_they_are_named(tokenizer: Any, size: str, millions: int) -> None:
    model = build_model(tokenizer, size)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(millions * 1e6, rel=0.15)


def test_batches_do_not_depend_on_the_number_of_workers(tokenizer: Any) -> None:
    alone, by_two = (
        list(drawn_batches(Batches(tokenizer, "train", 0, 2, 3), workers)) for workers in (0, 2)
    )
    assert len(alone) == len(by_two) == 3
    for one, other in zip(alone, by_two, strict=True):
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_every_question_has_its_answer_in_the_batch(tokenizer: Any) -> None:
    batch = next(drawn_batches(Batches(tokenizer, "train", 0, 4), 0))
    assert sorted({*batch["question"].tolist()}) == [*range(len(batch["kinds"]))]
    weights = np.bincount(batch["question"], batch["weight"])
    np.testing.assert_allclose(weights, 1, rtol=1e-5)


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    rates = [rate_factor(step / 1000) for step in range(1001)]
    assert rates[0] < 0.1
    assert max(rates) == 1.0
    assert rates[-1] == 0.0
    assert all(later <= earlier for earlier, later in pairwise(rates[50:]))


@pytest.mark.slow
def test_a_resumed_training_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    common = "--size s --steps 2 --batch 2 --workers 0 --device cpu --held-out 0 --match-at 0"
    train(parse(["--out", str(whole), *common.split()]))
    for stop_at in ("1", "2"):
        train(parse(["--out", str(broken), *common.split(), "--stop-at", stop_at]))
    from safetensors.torch import load_file

    once = load_file(whole / "s" / "model" / "model.safetensors")
    twice = load_file(broken / "s" / "model" / "model.safetensors")
    for name, tensor in once.items():
        torch.testing.assert_close(tensor, twice[name], msg=name, atol=1e-5, rtol=1e-4)


def learning_curve(seconds: str = "None") -> list[dict[str, Any]]:
    step = {"step": 10, "scenes": 640, "answer_loss": 1.0, "probe_loss": 2.0, "seconds": 30.0}
    step |= {"step_s": 0.01, "held_out": {"POPE/random": 0.75, "GQA/query": 0.25}}
    settings = {"batch": "64", "seconds": seconds}
    return [{"settings": settings, "device": "a card", "parameters": 2_000_000}, step]


def test_an_exported_model_answers(tokenizer: Any, tmp_path: Path) -> None:
    for part in (build_model(tokenizer, "s"), tokenizer, build_image_processor()):
        part.save_pretrained(tmp_path / "model")
    log = "".join(json.dumps(entry) + "\n" for entry in learning_curve())
    (tmp_path / "log.jsonl").write_text(log)
    ship(tmp_path, "eyechart-mini-s", tmp_path / "exported")
    vlm = EyechartMini(str(tmp_path / "exported"), device="cpu")
    image = np.full((SIZE_PX, SIZE_PX, 3), 128, dtype=np.uint8)
    asked = Request(image=image, prompts=("Is it?", "What color is it?"))
    (answers,) = vlm.answer([asked], Decoding(max_new_tokens=2))
    assert len(answers) == 2


@pytest.mark.parametrize(("seconds", "timed"), [("450.0", True), ("None", False)])
def test_a_card_says_whether_a_run_ended_by_its_time(seconds: str, timed: bool) -> None:
    text = card("eyechart-mini-s", learning_curve(seconds))
    assert ("ended by its time" in text) == timed
    assert "| 640 | 1.000 | 2.00 | 50.0% |" in text
    assert "| POPE/random | 75.0% |" in text

"""Prompt tokens: the task Acuity is asked with them, and nothing else of the VLM changes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from eyechart.core.types import Decoding, Request
from eyechart.tasks import open_tasks
from eyechart.tasks.acuity import ASK, Acuity
from eyechart.vlms.mini import EyechartMini, EyechartMiniS
from recipes.chart import prompt_tokens
from recipes.chart.asking import TASKS
from recipes.chart.prompt_tokens import QUESTIONS, add_prompt_tokens, token_names, widened
from recipes.chart.vlm import build_image_processor, build_model, build_tokenizer

OTHER = ("Is there a dog in the image? Please answer yes or no.", "Read the letters in the image.")
EMBEDDED, SAID = "model.embed_tokens.weight", "lm_head.weight"
# Every letter of the chart is one token.
TEXTS = [*OTHER, *ASK.values(), "left", "right", "top", "bottom"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model with random weights before and after a very short training."""
    before, after = (tmp_path_factory.mktemp(name) for name in ("before", "after"))
    tokenizer = build_tokenizer(TEXTS * 20)
    model = build_model(tokenizer, "s").to(torch.float16)
    for part in (model, tokenizer, build_image_processor()):
        part.save_pretrained(before)
    (before / "README.md").write_text("# a model\n")
    shutil.copytree(before, after, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        short = {kind: replace(asked, steps=2, pages=24) for kind, asked in QUESTIONS.items()}
        patch.setattr(prompt_tokens, "QUESTIONS", short)
        add_prompt_tokens(after, held_out=24)
    return before, after


def test_only_the_embeddings_of_new_words_are_new(tuned: tuple[Path, Path]) -> None:
    before, after = (load_file(folder / "model.safetensors") for folder in tuned)
    tokenizer = EyechartMini(str(tuned[0]), device="cpu").backbone.tokenizer
    known, never = len(tokenizer), tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert set(after) == {*before, SAID}
    for name, weights in before.items():
        if name != EMBEDDED:
            assert torch.equal(weights, after[name]), name
    for name in (EMBEDDED, SAID):
        assert torch.equal(after[name][:known], before[EMBEDDED][:known])
    # As likely as a token that is never said, so never the likeliest.
    assert (after[SAID][known:] == after[SAID][never]).all()


def test_other_prompts_have_their_tokens_and_answers(tuned: tuple[Path, Path]) -> None:
    before, after = (EyechartMini(str(folder), device="cpu") for folder in tuned)
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    asked = [Request(image=image, prompts=OTHER)]
    long = Decoding(max_new_tokens=12)
    assert before.answer(asked, long) == after.answer(asked, long)
    for text in OTHER:
        shown = [vlm.backbone.text(text) for vlm in (before, after)]
        assert shown[0] == shown[1]
        assert _ids(before, text) == _ids(after, text)


def test_the_tasks_questions_have_tokens_of_their_own(tuned: tuple[Path, Path]) -> None:
    before, after = (EyechartMini(str(folder), device="cpu") for folder in tuned)
    known = len(before.backbone.tokenizer)
    for kind, text in ASK.items():
        new = [index for index in _ids(after, text) if index >= known]
        names = after.backbone.tokenizer.convert_ids_to_tokens(new)
        assert names == token_names(kind)
        plain = before.backbone.text(text).replace(text, "".join(names))
        assert after.backbone.text(text) == plain


def test_the_card_says_what_was_trained(tuned: tuple[Path, Path]) -> None:
    card = (tuned[1] / "README.md").read_text()
    assert card.startswith("# a model\n\n## Prompt tokens\n")
    tokens = sum(asked.tokens for asked in QUESTIONS.values())
    assert f"asked with {tokens} tokens" in card
    assert f"{tokens * 128:,} numbers" in card


def test_a_model_has_prompt_tokens_once(tuned: tuple[Path, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tuned[1], copy)
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    with pytest.raises(ValueError, match="has prompt tokens"):
        add_prompt_tokens(copy, held_out=1)
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before


def test_a_new_word_is_never_said(tuned: tuple[Path, Path]) -> None:
    """However large its embedding is."""
    tokenizer = EyechartMini(str(tuned[0]), device="cpu").backbone.tokenizer
    model = build_model(tokenizer, "s").eval()
    never = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    rows = 100 * torch.randn(5, 128, generator=torch.Generator().manual_seed(0))
    wider = widened(model, rows, len(tokenizer), never)
    ids = torch.randint(0, len(tokenizer), (4, 30), generator=torch.Generator().manual_seed(0))
    ids[ids >= never] = 0  # no image
    with torch.no_grad():
        narrow, wide = (one(input_ids=ids).logits for one in (model, wider))
    known = len(tokenizer)
    torch.testing.assert_close(wide[..., :known], narrow[..., :known])
    assert (wide.argmax(-1) < known).all()


def _ids(vlm: Any, text: str) -> list[int]:
    (ids,) = vlm.backbone.tokenizer([vlm.backbone.text(text)])["input_ids"]
    return list(ids)


def test_no_prompt_of_the_built_in_chart_has_prompt_tokens() -> None:
    backbone = EyechartMiniS(device="cpu").backbone
    first = backbone.tokenizer.convert_tokens_to_ids(token_names("letters")[0])
    names = ["COCO-Caption" if name == "COCO" else name for name in TASKS]
    prompts = {
        task.prompt(question, "qwen2_5_vl")
        for task in open_tasks(names, data="eyechart-mini")
        for question in task.questions()
    }
    assert len(prompts) > 1000
    encoded = backbone.tokenizer([backbone.text(prompt) for prompt in sorted(prompts)])
    assert max(max(ids) for ids in encoded["input_ids"]) < first
    for text in ASK.values():
        assert max(backbone.tokenizer([backbone.text(text)])["input_ids"][0]) >= first


def test_the_built_in_vlm_reads_large_letters_and_rings() -> None:
    task = Acuity(rows=2)
    vlm = EyechartMiniS(device="cpu")
    asked = [q for q in task.questions() if q.l2_category == "1" and _height_px(q.image) >= 26]
    requests = [Request(image=task.image(q.image), prompts=(q.text,)) for q in asked]
    answers = vlm.answer(requests, Decoding(max_new_tokens=24))
    shares: dict[str, list[float]] = {kind: [] for kind in ASK}
    for question, (answer,) in zip(asked, answers, strict=True):
        shares[question.category].append(task.score(question, answer.text).value)
    for found in shares.values():
        assert np.mean(found) > 0.6  # a guess is right with 0.1 and 0.25


def _height_px(image: str) -> int:
    return int(image.split("-")[1])

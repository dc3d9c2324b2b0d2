"""Answers to many questions in one batch equal those to single questions."""

from __future__ import annotations

import dataclasses
import json
import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from eyechart.core.errors import InputError, VLMError
from eyechart.core.hooks import questions_at_once
from eyechart.core.types import VLM, Decoding, Request, component_of
from eyechart.vlms import open_vlm
from eyechart.vlms.mini import EyechartMini
from eyechart.vlms.qwen2_5_vl import MAX_PIXELS, MIN_PIXELS, Qwen25VL
from eyechart.zoo import weights_dir
from tests.vlms.asking import picture, plain_qwen, request

OWN_PIXELS: dict[str, Any] = {"min_pixels": None, "max_pixels": None}


@pytest.fixture(scope="module")
def vlm(qwen_dir: Path) -> Qwen25VL:
    return Qwen25VL(str(qwen_dir), device="cpu", **OWN_PIXELS)


def texts(vlm: VLM, requests: list[Request], new_tokens: int) -> list[list[str]]:
    answers = vlm.answer(requests, Decoding(max_new_tokens=new_tokens))
    return [[answer.text for answer in given] for given in answers]


def test_equals_plain_generation_for_one_to_forty_questions_on_many_sizes(
    vlm: Qwen25VL, qwen_dir: Path
) -> None:
    requests = [
        request(224, 224, 18, seed=1),
        request(120, 300, 3, seed=2),
        request(224, 224, 1, seed=3),
        request(60, 60, 7, seed=4),
        request(200, 130, 40, seed=5),
    ]
    found = texts(vlm, requests, 6)
    assert found == plain_qwen(qwen_dir, requests, 6)
    assert len({text for given in found for text in given}) > 30  # the questions matter


@pytest.mark.parametrize("budget", [1, 150, 400])
def test_batches_of_any_size_give_the_same_answers(
    vlm: Qwen25VL, qwen_dir: Path, budget: int
) -> None:
    requests = [request(112, 112, 5, seed=1), request(84, 140, 9, seed=2), request(56, 56, 1)]
    small = Qwen25VL(str(qwen_dir), device="cpu", budget_tokens=budget, **OWN_PIXELS)
    assert texts(small, requests, 4) == texts(vlm, requests, 4)


def test_equal_questions_get_equal_answers(vlm: Qwen25VL) -> None:
    one = request(112, 112, 1, seed=7)
    twice = dataclasses.replace(one, prompts=one.prompts * 3)
    assert texts(vlm, [twice], 5) == [texts(vlm, [one], 5)[0] * 3]


def test_no_questions_no_answers(vlm: Qwen25VL) -> None:
    assert vlm.answer([], Decoding()) == []
    empty = Request(image=picture(56, 56), prompts=())
    assert vlm.answer([empty, request(56, 56, 1)], Decoding(max_new_tokens=1))[0] == []


def test_answer_ends_at_the_stop_token_or_says_that_the_limit_ended_it(vlm: Qwen25VL) -> None:
    asked = [request(112, 112, 40, seed=11)]
    [answers] = vlm.answer(asked, Decoding(max_new_tokens=30))
    assert {answer.truncated for answer in answers} == {True, False}
    assert all(answer.tokens == 30 for answer in answers if answer.truncated)
    assert all(answer.tokens < 30 for answer in answers if not answer.truncated)


def test_out_of_memory_halves_the_batch_and_loses_no_answer(
    qwen_dir: Path, vlm: Qwen25VL, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eyechart.vlms import local

    calls: list[int] = []
    real = local.decode

    def scarce(model: Any, head: Any, rows: Any, **kwargs: Any) -> Any:
        questions = sum(len(row.questions) for row in rows)
        calls.append(questions)
        if questions > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return real(model, head, rows, **kwargs)

    requests = [request(112, 112, 9, seed=1), request(84, 140, 6, seed=2), request(56, 56, 1)]
    expected = texts(vlm, requests, 3)
    small = Qwen25VL(str(qwen_dir), device="cpu", **OWN_PIXELS)
    monkeypatch.setattr(local, "decode", scarce)
    assert texts(small, requests, 3) == expected
    done = [count for count in calls if count <= 4]
    assert sum(done) == 16  # nothing was computed twice
    assert calls.index(done[0]) == len(calls) - len(done)  # and it failed only at the start


def test_out_of_memory_with_a_single_question_is_one_line(
    qwen_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eyechart.vlms import local

    def never(*_: Any, **__: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr(local, "decode", never)
    small = Qwen25VL(str(qwen_dir), device="cpu", **OWN_PIXELS)
    with pytest.raises(VLMError, match="out of memory with one question on one image of 16"):
        small.answer([request(112, 112, 3)], Decoding(max_new_tokens=1))


def test_memory_is_given_back_when_nothing_holds_it_any_more(
    qwen_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eyechart.vlms import local

    held: list[weakref.ref[torch.Tensor]] = []
    given_back: list[bool] = []
    real = local.decode

    def scarce(model: Any, head: Any, rows: Any, **kwargs: Any) -> Any:
        if not held:
            large = torch.zeros(9)
            held.append(weakref.ref(large))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return real(model, head, rows, **kwargs)

    small = Qwen25VL(str(qwen_dir), device="cpu", **OWN_PIXELS)
    small.answer([request(56, 56, 1)], Decoding(max_new_tokens=1))
    monkeypatch.setattr(local, "decode", scarce)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: given_back.append(held[0]() is None))
    small.answer([request(56, 56, 2)], Decoding(max_new_tokens=1))
    assert given_back == [True]


def test_large_images_are_not_all_prepared_before_the_first_is_answered(
    vlm: Qwen25VL, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eyechart.vlms import local

    backbone = vlm.backbone
    real, encode = backbone.prepare, backbone.encode
    waiting = most = 0

    def prepare(rgb8: Any) -> Any:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        return real(rgb8)

    def seen(pictures: Any) -> Any:
        nonlocal waiting
        waiting -= len(pictures)
        return encode(pictures)

    monkeypatch.setattr(backbone, "prepare", prepare)
    monkeypatch.setattr(backbone, "encode", seen)
    asked = [request(112, 112, 1, seed=seed) for seed in range(20)]
    expected = texts(vlm, asked, 2)
    assert (waiting, most) == (0, 20)
    one = real(asked[0].image).size_bytes
    waiting = most = 0
    answerer = local.Answerer(backbone, budget_tokens=1 << 20, ahead_bytes=3 * one)
    found = answerer.answer(asked, Decoding(max_new_tokens=2))
    assert [[answer.text for answer in its] for its in found] == expected
    assert (waiting, most) == (0, 3)


def test_an_image_is_prepared_again_after_out_of_memory(
    vlm: Qwen25VL, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = vlm.backbone
    real, encode = backbone.prepare, backbone.encode
    held = 0
    capacity = 2

    def prepare(rgb8: Any) -> Any:
        nonlocal held
        if held == capacity:
            raise MemoryError
        held += 1
        return real(rgb8)

    def seen(pictures: Any) -> Any:
        nonlocal held
        held -= len(pictures)
        return encode(pictures)

    asked = [request(56, 84, 2, seed=seed) for seed in range(5)]
    expected = texts(vlm, asked, 2)
    monkeypatch.setattr(backbone, "prepare", prepare)
    monkeypatch.setattr(backbone, "encode", seen)
    assert texts(vlm, asked, 2) == expected
    capacity = 0
    with pytest.raises(VLMError, match="out of memory with one image of 84x56"):
        texts(vlm, asked, 2)


def test_another_runtime_error_is_not_swallowed(
    qwen_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eyechart.vlms import local

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(local, "decode", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Qwen25VL(str(qwen_dir), device="cpu", **OWN_PIXELS).answer(
            [request(56, 56, 1)], Decoding(max_new_tokens=1)
        )


CHOICE_SET = Decoding(max_new_tokens=1, choice_set=True)


def test_choices_restrict_every_answer_to_those_of_its_question(vlm: Qwen25VL) -> None:
    sets = [("A", "B", "C", "D"), ("A", "B"), ("Yes", "No")] * 4
    asked = [replace(request(112, 112, 12, seed=seed), choices=tuple(sets)) for seed in (3, 4)]
    answers = [answer for its_answers in vlm.answer(asked, CHOICE_SET) for answer in its_answers]
    assert all(a.text in its for a, its in zip(answers, sets * 2, strict=True))
    assert {answer.tokens for answer in answers} == {1}
    assert {answer.text for answer in answers} > {"A", "Yes"}


def test_a_choice_is_the_one_whose_first_token_is_likeliest(vlm: Qwen25VL) -> None:
    asked = request(112, 112, 12, seed=3)
    free = [answer.text for answer in vlm.answer([asked], Decoding(max_new_tokens=1))[0]]
    said = sorted({text for text in free if text.isalpha()})
    [chosen] = vlm.answer([replace(asked, choices=(tuple(said),) * 12)], CHOICE_SET)
    pairs = [(f, c.text) for f, c in zip(free, chosen, strict=True) if f in said]
    assert len(said) > 1
    assert all(expected == got for expected, got in pairs)


def test_a_choice_may_begin_with_a_space(vlm: Qwen25VL) -> None:
    asked = request(112, 112, 12, seed=3)
    plain, spaced = ("A", "B"), (" A", " B")
    [both] = vlm.answer([replace(asked, choices=(plain,) * 12)], CHOICE_SET)
    [alone] = vlm.answer([replace(asked, choices=(spaced,) * 12)], CHOICE_SET)
    assert {answer.text for answer in both} <= {*plain}
    assert {answer.text for answer in alone} <= {*spaced}


@pytest.mark.parametrize(
    ("choices", "problem"),
    [
        ((("A cat", "A dog"),), "do not all begin with another token"),
        ((), "choices of every question"),
        (((),), "choices of every question"),
    ],
)
def test_choices_that_do_not_decide_are_refused(
    vlm: Qwen25VL, choices: tuple[tuple[str, ...], ...], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        vlm.answer([replace(request(56, 56, 1), choices=choices)], CHOICE_SET)


def test_image_too_large_for_the_context_is_refused(vlm: Qwen25VL) -> None:
    with pytest.raises(VLMError, match="the model takes 32768"):
        vlm.answer([request(56, 56, 1)], Decoding(max_new_tokens=32768))


def test_image_of_impossible_shape_is_a_vlm_error(vlm: Qwen25VL) -> None:
    with pytest.raises(VLMError, match="image of 300x1 pixels"):
        vlm.answer([request(1, 300, 1)], Decoding(max_new_tokens=1))


def test_pixel_limits_set_the_number_of_visual_tokens(qwen_dir: Path) -> None:
    def tokens(**limits: int | None) -> int:
        vlm = Qwen25VL(str(qwen_dir), device="cpu", **limits)
        return vlm.backbone.prepare(picture(224, 224)).tokens

    assert tokens(**OWN_PIXELS) == 64
    assert tokens(min_pixels=448 * 448, max_pixels=1280 * 28 * 28) == 256
    assert tokens(min_pixels=56 * 56, max_pixels=112 * 112) == 16
    assert tokens() >= 1280  # VLMEvalKit's lower limit


def test_the_pixel_limit_of_ocrbench_is_in_the_key(qwen_dir: Path) -> None:
    plain = Qwen25VL(str(qwen_dir), device="cpu", max_pixels=MAX_PIXELS)
    reading = plain.for_task("OCRBench")
    assert plain.for_task("POPE") is plain
    assert (plain.options["min_pixels"], plain.options["max_pixels"]) == (MIN_PIXELS, MAX_PIXELS)
    assert reading.options == {**plain.options, "min_pixels": 100 * 28 * 28}
    asked = [request(112, 112, 3)]
    by_hand = Qwen25VL(str(qwen_dir), device="cpu", min_pixels=100 * 28 * 28, max_pixels=MAX_PIXELS)
    assert texts(reading, asked, 3) == texts(by_hand, asked, 3)
    assert reading.model is plain.model


@pytest.mark.parametrize("given", [None, MIN_PIXELS, 56 * 56])
def test_a_lower_limit_that_was_given_is_kept_for_ocrbench(
    qwen_dir: Path, given: int | None
) -> None:
    vlm = Qwen25VL(str(qwen_dir), device="cpu", min_pixels=given)
    assert vlm.for_task("OCRBench") is vlm


def test_the_built_in_vlm_reads_ocrbench_as_all_else() -> None:
    mini = EyechartMini(device="cpu")
    assert mini.for_task("OCRBench") is mini


def with_limits(qwen_dir: Path, folder: Path, least: int, most: int, layout: str) -> Path:
    """A copy of the checkpoint with an image processor in the format of older transformers."""
    shutil.copytree(qwen_dir, folder)
    path = folder / "preprocessor_config.json"
    saved = json.loads(path.read_text())
    del saved["size"]
    if layout == "oldest":
        saved |= {"min_pixels": least, "max_pixels": most}
    else:
        saved["size"] = {"shortest_edge": least, "longest_edge": most}
    if layout == "newest":
        path.unlink()
        path, saved = folder / "processor_config.json", {"image_processor": saved}
    path.write_text(json.dumps(saved))
    return folder


@pytest.mark.parametrize("layout", ["oldest", "older", "newest"])
def test_a_directory_with_other_limits_than_the_release_keeps_them(
    qwen_dir: Path, tmp_path: Path, layout: str
) -> None:
    own = with_limits(qwen_dir, tmp_path / "own", 56 * 56, 112 * 112, layout)
    vlm = Qwen25VL(str(own), device="cpu")
    assert (vlm.options["min_pixels"], vlm.options["max_pixels"]) == (None, None)
    assert vlm.backbone.prepare(picture(224, 224)).tokens == 16
    assert vlm.for_task("OCRBench") is vlm
    given = Qwen25VL(str(own), device="cpu", max_pixels=224 * 224)
    assert given.backbone.prepare(picture(224, 224)).tokens == 64
    released = with_limits(qwen_dir, tmp_path / "released", 56 * 56, MAX_PIXELS, layout)
    assert Qwen25VL(str(released)).options["min_pixels"] == MIN_PIXELS


@pytest.mark.parametrize("name", ["eyechart-mini", "eyechart-mini-s"])
def test_a_built_in_vlm_answers_alike_as_a_directory(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "stock"
    shutil.copytree(weights_dir(name), copy)
    asked = [request(112, 140, 4), request(300, 300, 2)]
    assert texts(open_vlm(str(copy), device="cpu", dtype="float32"), asked, 4) == texts(
        open_vlm(name, device="cpu"), asked, 4
    )


def test_the_prompt_is_the_checkpoints_own_template_with_the_image_before_the_text(
    vlm: Qwen25VL,
) -> None:
    assert vlm.backbone.text("Is it?\nAnswer.") == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Is it?\nAnswer.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_identity_holds_all_that_changes_answers_and_nothing_else(qwen_dir: Path) -> None:
    default = Qwen25VL(str(qwen_dir), device="cpu")
    assert default.options == {
        "min_pixels": MIN_PIXELS,
        "max_pixels": MAX_PIXELS,
        "dtype": "float32",
    }
    same = Qwen25VL(str(qwen_dir), device="cpu", budget_tokens=7)
    other = Qwen25VL(str(qwen_dir), device="cpu", max_pixels=MIN_PIXELS)
    assert component_of(same) == component_of(default) != component_of(other)
    assert default.name == "tiny-qwen"
    assert len(default.version) == 16


def test_a_gpu_is_asked_more_at_once(qwen_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert questions_at_once(Qwen25VL(str(qwen_dir), device="cpu")) == 32
    assert questions_at_once(Qwen25VL(str(qwen_dir), device="cuda:1")) == 512
    automatic = Qwen25VL(str(qwen_dir))
    for there, wanted in ((True, 512), (False, 32)):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert questions_at_once(automatic) == wanted


def test_version_follows_the_weights_not_the_folder(qwen_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(qwen_dir, copy)
    assert Qwen25VL(str(copy)).version == Qwen25VL(str(qwen_dir)).version
    weights = copy / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(bytes(changed))
    assert Qwen25VL(str(copy)).version != Qwen25VL(str(qwen_dir)).version


def test_opens_by_directory(qwen_dir: Path) -> None:
    vlm = open_vlm(str(qwen_dir), device="cpu", **OWN_PIXELS)
    assert isinstance(vlm, VLM)
    assert vlm.family == "qwen2_5_vl"
    assert len(vlm.answer([request(56, 56, 2)], Decoding(max_new_tokens=2))[0]) == 2

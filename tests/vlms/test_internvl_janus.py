"""InternVL3 and Janus-Pro over the same engine: equal to plain generation with their processors."""

from __future__ import annotations

from logging import LogRecord
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from eyechart.core.types import VLM, Answer, Decoding, Request, Rgb8
from eyechart.vlms import open_vlm
from eyechart.vlms.adapter_identity import CONFIG, WEIGHTS
from eyechart.vlms.checkpoint import LocalVLM
from eyechart.vlms.internvl import InternVL, InternVLBackbone
from eyechart.vlms.janus import Janus, JanusBackbone
from tests.vlms.asking import picture, request

REQUESTS = [
    request(100, 180, 18, seed=1),
    request(56, 56, 1, seed=2),
    request(200, 70, 40, seed=3),
    request(300, 300, 3, seed=4),
]


def texts(vlm: VLM, requests: list[Request], new_tokens: int) -> list[list[str]]:
    answers = vlm.answer(requests, Decoding(max_new_tokens=new_tokens))
    return [[answer.text for answer in given] for given in answers]


def plain_internvl(
    folder: Path, requests: list[Request], new_tokens: int, dtype: torch.dtype = torch.float32
) -> list[list[str]]:
    """Expand the placeholder in the text, as InternVLProcessor does, then `generate`."""
    from transformers import (
        AutoTokenizer,
        GotOcr2ImageProcessorPil,
        InternVLForConditionalGeneration,
    )

    model: Any = InternVLForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor: Any = GotOcr2ImageProcessorPil.from_pretrained(folder)

    def answer(rgb8: Rgb8, prompt: str) -> str:
        tiles = processor(images=[rgb8], crop_to_patches=True, max_patches=6, return_tensors="pt")[
            "pixel_values"
        ]
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        seen = "<img>" + "<IMG_CONTEXT>" * 4 * len(tiles) + "</img>"
        inputs = tokenizer(text.replace("<IMG_CONTEXT>", seen), return_tensors="pt").to(dtype)
        output = model.generate(
            **inputs, pixel_values=tiles.to(dtype), do_sample=False, max_new_tokens=new_tokens
        )
        new = output[0, inputs["input_ids"].shape[1] :]
        return str(tokenizer.decode(new, skip_special_tokens=True)).strip()

    return [[answer(asked.image, prompt) for prompt in asked.prompts] for asked in requests]


def plain_janus(
    folder: Path, requests: list[Request], new_tokens: int, dtype: torch.dtype = torch.float32
) -> list[list[str]]:
    """JanusProcessor, then `generate`."""
    from transformers import (
        AutoTokenizer,
        JanusForConditionalGeneration,
        JanusImageProcessorPil,
        JanusProcessor,
    )

    model: Any = JanusForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    processor: Any = JanusProcessor(
        JanusImageProcessorPil.from_pretrained(folder),
        tokenizer,
        use_default_system_prompt=False,
        num_image_tokens=16,
    )

    def answer(rgb8: Rgb8, prompt: str) -> str:
        text = f"<|User|>: <image_placeholder>{prompt}\n\n<|Assistant|>:"
        inputs = processor(text=[text], images=[rgb8], return_tensors="pt").to(dtype)
        output = model.generate(**inputs, do_sample=False, max_new_tokens=new_tokens)
        new = output[0, inputs["input_ids"].shape[1] :]
        return str(tokenizer.decode(new, skip_special_tokens=True))

    return [[answer(asked.image, prompt) for prompt in asked.prompts] for asked in requests]


def test_internvl_equals_plain_generation(internvl_dir: Path) -> None:
    found = texts(InternVL(str(internvl_dir), device="cpu", system=""), REQUESTS, 5)
    assert found == plain_internvl(internvl_dir, REQUESTS, 5)
    assert len({text for given in found for text in given}) > 20


def test_janus_equals_plain_generation(janus_dir: Path) -> None:
    found = texts(Janus(str(janus_dir), device="cpu"), REQUESTS, 5)
    assert found == plain_janus(janus_dir, REQUESTS, 5)
    assert len({text for given in found for text in given}) > 20


def test_internvl_cuts_at_most_the_tiles_it_is_allowed(internvl_dir: Path) -> None:
    wide = picture(112, 700)

    def tiles(vlm: InternVL) -> int:
        return vlm.build()[0].prepare(wide).tokens // 4

    six = InternVL(str(internvl_dir), device="cpu")
    assert tiles(six) == 6 + 1
    assert tiles(InternVL(str(internvl_dir), device="cpu", max_tiles=24)) > 7


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (3, 1), (4, 3)])
def test_images_of_three_pixels_cause_no_warning(
    internvl_dir: Path, size: tuple[int, int], library_says: list[LogRecord]
) -> None:
    backbone = InternVL(str(internvl_dir), device="cpu").build()[0]
    grey = np.full((*size, 3), (255, 128, 0), np.uint8)
    seen = backbone.prepare(grey).inputs["pixel_values"]
    assert not library_says
    assert torch.equal(seen, seen[:, :, :1, :1].expand_as(seen))  # one colour, not stripes
    assert len(seen[0, :, 0, 0].unique()) == 3


def test_internvls_tiles_for_ocrbench_are_in_the_key(internvl_dir: Path) -> None:
    plain = InternVL(str(internvl_dir), device="cpu")
    reading = plain.for_task("OCRBench")
    assert plain.options["max_tiles"] == 6
    assert reading.options["max_tiles"] == 24
    assert plain.for_task("POPE") is plain
    for given in (6, 12):  # 6 is the default, but here it is asked for
        explicit = InternVL(str(internvl_dir), device="cpu", max_tiles=given)
        assert explicit.for_task("OCRBench") is explicit
    asked = [request(112, 700, 2)]
    assert texts(reading, asked, 3) == texts(
        InternVL(str(internvl_dir), device="cpu", max_tiles=24), asked, 3
    )


def test_internvl_prompt_is_the_makers(internvl_dir: Path) -> None:
    backbone = InternVL(str(internvl_dir), device="cpu").build()[0]
    assert isinstance(backbone, InternVLBackbone)
    assert backbone.text("Is it?") == (
        "<|im_start|>system\n你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及"
        "多家合作单位联合开发的多模态大语言模型。<|im_end|>\n"
        "<|im_start|>user\n<IMG_CONTEXT>\nIs it?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_janus_prompt_keeps_the_tasks_line_break(janus_dir: Path) -> None:
    plain, given = "", "You are a helpful assistant."
    for system, before in ((plain, ""), (given, f"{given}\n\n")):
        vlm = Janus(str(janus_dir), device="cpu", system=system)
        assert vlm.options["system"] == system
        backbone = vlm.build()[0]
        assert isinstance(backbone, JanusBackbone)
        assert backbone.text("\nIs it?\nAnswer.") == (
            f"{before}<|User|>: <image_placeholder>\nIs it?\nAnswer.\n\n<|Assistant|>:"
        )
    assert Janus(str(janus_dir)).options["system"] == plain


def test_an_option_selects_vlmevalkits_prompt_for_janus(janus_dir: Path) -> None:
    plain = Janus(str(janus_dir), device="cpu")
    vlm = Janus(str(janus_dir), device="cpu", vlmevalkit=True)
    assert "vlmevalkit" not in plain.options  # keys of before this option stay as they were
    assert vlm.options == {**plain.options, "vlmevalkit": True}
    backbone = vlm.build()[0]
    # DeepSeek's processor strips what it is given, and the prompts of some tasks end in a space.
    assert backbone.text("\nIs it? ") == "User: <image_placeholder>\nIs it?\n\nAssistant:"
    assert len(vlm.answer([request(60, 90, 1)], Decoding(max_new_tokens=3))[0]) == 1


@pytest.mark.parametrize(
    ("height_px", "width_px", "rows"),
    [(20, 30, 21), (21, 31, 21), (45, 80, 18), (30, 30, 32), (2, 90, 14)],
)
def test_janus_cuts_sides_to_whole_pixels_as_vlmevalkit_does(
    height_px: int, width_px: int, rows: int, janus_dir: Path
) -> None:
    from transformers import JanusImageProcessorPil

    backbone = Janus(str(janus_dir), device="cpu", vlmevalkit=True).build()[0]
    rgb8 = picture(height_px, width_px, seed=5)
    (pixels,) = backbone.prepare(rgb8).inputs["pixel_values"]
    small = Image.fromarray(rgb8).resize((32, rows), Image.Resampling.BICUBIC)
    processor = JanusImageProcessorPil.from_pretrained(janus_dir)
    mean, std = np.array(processor.image_mean), np.array(processor.image_std)
    square = Image.new("RGB", (32, 32), tuple(int(255 * level) for level in mean))
    square.paste(small, (0, (32 - rows) // 2))
    expected = (np.asarray(square, np.float32) / 255 - mean) / std
    assert np.allclose(pixels.permute(1, 2, 0), expected, atol=1e-5)


def test_internvl_answers_are_stripped_as_vlmevalkit_strips_them(
    internvl_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm = InternVL(str(internvl_dir), device="cpu")
    monkeypatch.setattr(
        LocalVLM, "answer", lambda *_: [[Answer(text=" a dog\n", tokens=3, truncated=True)]]
    )
    asked = [request(60, 90, 1)]
    said = vlm.answer(asked, Decoding(max_new_tokens=3))
    assert said == [[Answer(text="a dog", tokens=3, truncated=True)]]
    assert vlm.options["stripped"] is True


@pytest.mark.parametrize(
    ("fixture", "family"), [("internvl_dir", "internvl3"), ("janus_dir", "janus-pro")]
)
def test_directories_find_their_family(
    fixture: str, family: str, request: pytest.FixtureRequest
) -> None:
    vlm = open_vlm(str(request.getfixturevalue(fixture)), device="cpu")
    assert vlm.family == family
    assert isinstance(vlm, VLM)


def test_ocrbench_has_its_settings_after_another_task(internvl_dir: Path) -> None:
    plain = InternVL(str(internvl_dir), device="cpu")
    asked = [request(112, 700, 2)]
    texts(plain, asked, 3)
    reading = plain.for_task("OCRBench")
    assert reading.model is plain.model
    assert texts(reading, asked, 3) == texts(
        InternVL(str(internvl_dir), device="cpu", max_tiles=24), asked, 3
    )


def test_an_adapter_is_attached_once_to_the_weights_that_two_tasks_share(
    internvl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / CONFIG).write_text("{}")
    (tmp_path / WEIGHTS).write_bytes(b"")
    attached: list[object] = []

    class Spy:
        base_version = ""

        def check(self, family: str) -> None: ...

        def attach(self, model: object) -> None:
            attached.append(model)

        def set_conditions(self, conditions: object) -> None: ...

    monkeypatch.setattr("eyechart.vlms.checkpoint.open_adapter", lambda folder: Spy())
    plain = InternVL(str(internvl_dir), device="cpu", adapter=str(tmp_path))
    reading = plain.for_task("OCRBench")
    for vlm in (reading, plain):
        texts(vlm, [request(40, 40, 1)], 2)
    assert attached == [plain.model]

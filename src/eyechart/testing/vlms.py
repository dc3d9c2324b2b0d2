"""The conformance check for a VLM.

from eyechart.testing.vlms import check_vlm
check_vlm(MyVLM())
check_vlm("my-vlm")  # registered: opened by name, as a run does
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from eyechart.core import plugins
from eyechart.core.hooks import for_task
from eyechart.core.identity import canonical_json
from eyechart.core.types import VLM, Answer, Decoding, Request, Rgb8, component_of
from eyechart.vlms import open_vlm

_PROMPTS = (
    "Is there a red circle in the image? Please answer yes or no.",
    "What colour is the largest shape?",
    "Describe this image.",
    "Is there a red circle in the image? Please answer yes or no.",
)
_SIZES = ((64, 64), (48, 96), (131, 67))  # (height, width)


def check_vlm(
    vlm: VLM | str, *, max_new_tokens: int = 8, sizes: Sequence[tuple[int, int]] = _SIZES
) -> None:
    """Ask a VLM a few questions and check that it meets the requirements.

    It checks the identity, one answer for each question in order, empty requests, the token limit,
    equal answers alone and with other questions and at a second call, options without device and
    batch size, and the identity with the settings for each task.

    vlm: the VLM, or a name, hub id or directory to open.
    sizes: (height, width) of the images.
    Raises:
        AssertionError: names the violated requirement.

    Examples:
        >>> check_vlm("eyechart-mini", max_new_tokens=2, sizes=[(56, 56)])
    """
    if isinstance(vlm, str):
        vlm = open_vlm(vlm)
    _check_identity(vlm)
    for task in plugins.names("eyechart.tasks"):
        _check_identity(for_task(vlm, task))
    decoding = Decoding(max_new_tokens=max_new_tokens)
    requests = [
        Request(image=_image(height, width, seed), prompts=_PROMPTS, codec="jpeg", level="10")
        for seed, (height, width) in enumerate(sizes)
    ]
    together = vlm.answer(requests, decoding)
    _check_shape(requests, together, max_new_tokens)
    texts = [[answer.text for answer in given] for given in together]
    for given in texts:
        assert given[0] == given[3], "equal questions on one image got different answers"
    again = vlm.answer(requests, decoding)
    assert [[a.text for a in given] for given in again] == texts, "a second call gave other answers"
    _check_alone(vlm, requests, texts, decoding)
    assert vlm.answer([], decoding) == [], "no requests must give no answers"
    empty = Request(image=_image(64, 64, 0), prompts=())
    assert vlm.answer([empty], decoding) == [[]], "a request without prompts must give []"


def _check_identity(vlm: VLM) -> None:
    assert isinstance(vlm, VLM), "lacks a part of eyechart.core.types.VLM"
    assert vlm.name, "a VLM needs a name"
    assert vlm.version, "a VLM needs a version that changes when its weights do"
    assert isinstance(vlm.family, str), "family must be text; it selects the prompts of the tasks"
    assert vlm.family, "family must not be empty"
    canonical_json(component_of(vlm))
    unexpected = set(vlm.options) & {"device", "batch_size", "workers", "budget_tokens"}
    assert not unexpected, f"options hold what cannot change an answer: {sorted(unexpected)}"


def _check_shape(
    requests: Sequence[Request], answers: Sequence[Sequence[Answer]], limit: int
) -> None:
    assert len(answers) == len(requests), f"{len(requests)} requests, {len(answers)} lists"
    for request, given in zip(requests, answers, strict=True):
        assert len(given) == len(request.prompts), "one answer a prompt, in order"
        for answer in given:
            assert isinstance(answer, Answer), f"{type(answer).__name__} is not an Answer"
            assert isinstance(answer.text, str), "an answer's text must be text"
            assert isinstance(answer.tokens, int), "an answer's tokens must be a whole number"
            assert 0 <= answer.tokens <= limit, f"{answer.tokens} tokens, allowed {limit}"


def _check_alone(
    vlm: VLM, requests: Sequence[Request], texts: Sequence[Sequence[str]], decoding: Decoding
) -> None:
    for request, given in zip(requests, texts, strict=True):
        for prompt, text in zip(request.prompts, given, strict=True):
            alone = vlm.answer([replace(request, prompts=(prompt,))], decoding)
            assert alone[0][0].text == text, f"asked alone, {prompt!r} was answered otherwise"


def _image(height_px: int, width_px: int, seed: int) -> Rgb8:
    rng = np.random.default_rng(seed)
    rgb8 = np.full((height_px, width_px, 3), rng.integers(60, 200, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:height_px, :width_px]
    radius = min(height_px, width_px) / 4
    inside = (rows - height_px / 2) ** 2 + (columns - width_px / 2) ** 2 < radius**2
    rgb8[inside] = (220, 30, 40)
    return rgb8

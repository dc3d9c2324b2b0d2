"""BLEU, ROUGE-L and CIDEr against figures that pycocoevalcap 1.2 gave for the same texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyechart.tasks.captions import bleu, cider_of, rouge_l

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden_captions.json").read_text(encoding="utf-8")
)
CORPUS = tuple(tuple(texts) for texts in GOLDEN["references"])
TEXTS = st.text(st.sampled_from("ab c.\n猫"), max_size=40)


@pytest.mark.parametrize("golden", GOLDEN["sets"], ids=lambda golden: golden["name"])
def test_every_figure_is_that_of_pycocoevalcap(golden: dict[str, Any]) -> None:
    pairs = list(zip(golden["captions"], CORPUS, strict=True))
    assert bleu(pairs) == pytest.approx(golden["bleu"], rel=1e-12)
    assert [rouge_l(*pair) for pair in pairs] == pytest.approx(golden["rouge_l"], rel=1e-12)
    cider = cider_of(CORPUS)
    assert [cider.score(*pair) for pair in pairs] == pytest.approx(golden["cider"], rel=1e-12)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_figures_stay_in_range_for_any_text(caption: str, references: list[str]) -> None:
    texts = tuple(references)
    corpus = (*CORPUS, texts)
    assert all(0 <= value <= 1 + 1e-9 for value in bleu([(caption, texts)]))
    assert 0 <= rouge_l(caption, texts) <= 1 + 1e-9
    assert 0 <= cider_of(corpus).score(caption, texts) <= 10 + 1e-9


@given(st.lists(st.sampled_from("ab"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_rouge_follows_the_longest_common_subsequence(first: list[str], second: list[str]) -> None:
    def longest(left: list[str], right: list[str]) -> int:
        if not left or not right:
            return 0
        if left[0] == right[0]:
            return 1 + longest(left[1:], right[1:])
        return max(longest(left[1:], right), longest(left, right[1:]))

    caption, reference = " ".join(["x", *first]), " ".join(["x", *second])
    common = 1 + longest(first, second)
    precision, recall = common / (1 + len(first)), common / (1 + len(second))
    expected = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert rouge_l(caption, (reference,)) == pytest.approx(expected)

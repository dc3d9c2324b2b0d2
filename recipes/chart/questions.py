"""Training questions about a scene: random ones of all types, with the prompts of the test.

`MAKERS` lists every question type once. The task files are made by the same makers, so a VLM
trained on `ask` knows the form of every prompt, and no test scene.
"""

from __future__ import annotations

from collections.abc import Mapping

from recipes.chart import ask_caption, ask_choice, ask_gqa, ask_text, ask_yesno
from recipes.chart.asking import ChartQuestion, Maker, YesNoMaker, coin
from recipes.chart.scene import Rng, Scene
from recipes.chart.targets import TARGET_NAMES, token_targets

YES_NO: dict[str, YesNoMaker] = {
    "pope": ask_yesno.pope,
    "mme_existence": ask_yesno.mme_existence,
    "mme_count": ask_yesno.mme_count,
    "mme_position": ask_yesno.mme_position,
    "mme_color": ask_yesno.mme_color,
    "mme_posters": ask_yesno.mme_posters,
    "mme_scene": ask_yesno.mme_scene,
    "mme_artwork": ask_yesno.mme_artwork,
    "mme_ocr": ask_yesno.mme_ocr,
    "mme_commonsense": ask_yesno.mme_commonsense,
    "mme_calculation": ask_yesno.mme_calculation,
    "gqa_compare_size": ask_gqa.compare_size,
    "gqa_compare_number": ask_gqa.compare_number,
    "gqa_logical_and": ask_gqa.logical_and,
    "gqa_logical_or": ask_gqa.logical_or,
    "gqa_verify_color": ask_gqa.verify_color,
    "gqa_verify_relation": ask_gqa.verify_relation,
    "gqa_verify_side": ask_gqa.verify_side,
    "gqa_verify_place": ask_gqa.verify_place,
    "gqa_verify_group": ask_gqa.verify_group,
}

MAKERS: dict[str, Maker] = {
    **{name: coin(make) for name, make in YES_NO.items()},
    "gqa_choose_color": ask_gqa.choose_color,
    "gqa_choose_side": ask_gqa.choose_side,
    "gqa_choose_relation": ask_gqa.choose_relation,
    "gqa_choose_kind": ask_gqa.choose_kind,
    "gqa_choose_light": ask_gqa.choose_light,
    "gqa_compare_which": ask_gqa.compare_which,
    "gqa_query_color": ask_gqa.query_color,
    "gqa_query_shape": ask_gqa.query_shape,
    "gqa_query_relation": ask_gqa.query_relation,
    "gqa_query_quarter": ask_gqa.query_quarter,
    "gqa_query_place": ask_gqa.query_place,
    "gqa_query_group": ask_gqa.query_group,
    "coco": ask_caption.caption,
    "ocr_recognition": ask_text.recognition,
    "ocr_scene_vqa": ask_text.scene_vqa,
    "ocr_doc_vqa": ask_text.doc_vqa,
    "ocr_kie": ask_text.kie,
    "ocr_hmer": ask_text.hmer,
    **ask_choice.MAKERS,
}

# Shares of the types; types that a scene does not allow are left out.
WEIGHTS: dict[str, float] = {
    **dict.fromkeys(MAKERS, 1.0),
    "pope": 3.0,
    "coco": 3.0,
    "ocr_recognition": 4.0,
    "ocr_scene_vqa": 2.0,
    "ocr_kie": 3.0,
    "ocr_doc_vqa": 2.0,
    "ocr_hmer": 3.0,
    "mme_count": 3.0,  # most scenes are left out: see balance.keep
    "seed_counting": 3.0,
    "seed_reasoning": 3.0,
    "mmbench_prediction": 3.0,
    "mmbench_identity": 3.0,
    "mme_scene": 0.3,
    "mme_posters": 0.5,
    "mme_artwork": 0.2,
    "gqa_query_place": 0.4,
    "gqa_verify_place": 0.3,
    "gqa_choose_light": 0.3,
    "seed_scene": 0.4,
    "mmbench_scene": 0.4,
    "mmbench_style": 0.2,
}


def ask(
    scene: Scene, rng: Rng, count: int, weights: Mapping[str, float] | None = None
) -> list[ChartQuestion]:
    """Up to `count` random questions on the scene, all with different prompts.

    weights: shares of the question types (keys of `MAKERS`); default: `WEIGHTS`. A curriculum
    gives only some types. The result is shorter than `count` if the scene allows no more questions.

    Raises:
        KeyError: an unknown type.
    """
    left = {name: share for name, share in (weights or WEIGHTS).items() if share > 0}
    asked: dict[str, ChartQuestion] = {}
    misses: dict[str, int] = {}
    while left and len(asked) < count:
        mark = rng.random() * sum(left.values())
        for name, share in left.items():  # noqa: B007 - the last one reached is the choice
            mark -= share
            if mark < 0:
                break
        made = MAKERS[name](scene, rng)
        if made is None or made.prompt in asked:
            misses[name] = misses.get(name, 0) + 1
            if misses[name] >= 3 or made is None:
                del left[name]
            continue
        asked[made.prompt] = made
    return list(asked.values())


__all__ = ["MAKERS", "TARGET_NAMES", "WEIGHTS", "YES_NO", "ChartQuestion", "ask", "token_targets"]

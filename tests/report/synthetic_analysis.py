"""SYNTHETIC data for the report's tests: no VLM was run, every number here is drawn or invented.

It has what a real run has and what a real run may lack: two VLMs, seven tasks with their own
units, four codecs, an adapter, gaps, images, odd answers, a missing cell, a BD that could not be
computed, failures. Nothing outside tests/ may import it.
"""

from __future__ import annotations

import base64
import io
import math
import random
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from eyechart.analysis.deployment import Costs, Saving
from eyechart.analysis.measurements import Measurement
from eyechart.analysis.recommend import Recommendation, cheapest, judged
from eyechart.analysis.result import (
    AdapterInfo,
    Analysis,
    BdResult,
    CellResult,
    CorrelationResult,
    CorrelationScope,
    Example,
    GapResult,
    IcmResult,
    Interval,
    PairResult,
    ScalingResult,
    TaskInfo,
    View,
    VlmInfo,
)
from eyechart.tasks.own_answers import OwnAnswers

# name: (headline, uncompressed score, chance score, sub-metrics, questions, images)
TASKS = {
    "POPE": ("F1", 87.2, 66.0, ("Overall", "random", "popular", "adversarial", "acc"), 300, 150),
    "GQA": ("Overall", 61.4, 22.0, ("Overall", "choose", "compare", "logical", "query"), 240, 120),
    "COCO-Caption": ("CIDEr", 58.9, 6.0, ("CIDEr", "BLEU-4", "ROUGE_L"), 150, 150),
    "OCRBench": ("Final Score", 512.0, 20.0, ("Final Score", "Text Recognition", "KIE"), 200, 200),
    "MME": ("perception", 1288.0, 520.0, ("perception", "cognition", "existence"), 280, 140),
    "MMBench": (
        "Overall",
        66.8,
        12.0,
        ("Overall", "AR", "CP", "FP-C", "FP-S", "LR", "RR"),
        164,
        82,
    ),
    "SEEDBench": ("Overall", 67.9, 27.0, ("Overall", "Scene Understanding"), 180, 90),
}
# name: (levels from the smallest rate, bpp, how fast scores recover with rate)
CODECS = {
    "jpeg": (("Q1", "Q3", "Q5", "Q6"), (0.19, 0.21, 0.26, 0.30), 6.0),
    "hevc": (("QP51", "QP49", "QP45", "QP42"), (0.048, 0.068, 0.122, 0.187), 21.0),
    "vvc": (("QP53", "QP49", "QP45", "QP42"), (0.031, 0.058, 0.098, 0.205), 27.0),
    "elic": (("0.004", "0.008", "0.016", "0.032"), (0.066, 0.105, 0.169, 0.262), 19.0),
}
VLMS = {"eyechart-mini": 1.0, "Qwen2.5-VL-3B": 1.09}
SIZES = {"eyechart-mini": 7_000_000, "Qwen2.5-VL-3B": 3_000_000_000}  # as if of one series
ADAPTER = "universal"
CHOICE_SET = "eyechart-mini (choice set)"
NASTY = (
    "</script><script>document.documentElement.dataset.pwned='1'</script>"
    "<img src=x onerror=alert(1)>"
)


@cache
def full_analysis() -> Analysis:
    """Everything a report can show."""
    rng = random.Random(7)
    cells = [cell for vlm in VLMS for task in TASKS for cell in _task_cells(vlm, task, rng)]
    cells = [c for c in cells if (c.vlm, c.task, c.codec, c.level) != _MISSING]
    return Analysis(
        title="Synthetic run",
        eyechart_version="0.1.0",
        created="2030-01-02T03:04:05Z",
        data="synthetic",
        tasks=tuple(
            TaskInfo(name=name, headline_metric=t[0], questions=t[4], images=t[5])
            for name, t in TASKS.items()
        ),
        cells=tuple(cells),
        bd=tuple(_bds(cells, rng)),
        gaps=tuple(_gaps(cells)),
        examples=tuple(_examples()),
        failures=(("encode vvc QP53: TimeoutError", 4), (f"answer: {NASTY}", 2)),
        bootstrap_samples=2000,
        seed=1234567890123456789,
        adapters=(AdapterInfo(name=ADAPTER, trained_codecs=("jpeg", "hevc", "vvc")),),
        icm=tuple(_icm(cells, rng)),
        pairs=tuple(_pairs()),
        vlms=tuple(
            VlmInfo(name=vlm, series="mini", parameters=size) for vlm, size in SIZES.items()
        ),
        scaling=tuple(_scaling()),
        correlations=tuple(_correlations(random.Random(11))),
    )


def _correlations(rng: random.Random) -> list[CorrelationResult]:
    def drawn() -> Interval:
        value = rng.uniform(-0.4, 1)
        return Interval(value=value, low=value - 0.3, high=min(1.0, value + 0.2))

    return [
        CorrelationResult(
            vlm=vlm,
            task=task,
            metric=metric,
            negated=metric == "LPIPS",
            scope=scope,
            points=len(CODECS) if scope == "between codecs" else 4 * len(CODECS),
            pearson=drawn(),
            spearman=None if metric == "VIF" else drawn(),
        )
        for vlm in VLMS
        for task in TASKS
        for metric in ("PSNR", "MS-SSIM", "VMAF", "VIF", "LPIPS")
        for scope in get_args(CorrelationScope)
    ]


def a_recommendation(vlm: str = "eyechart-mini") -> Recommendation:
    """Settings of jpeg and of jpeg@256, one of which loses too much; 200 images."""
    rng = np.random.default_rng(3)
    lost = {("jpeg", "75"): 0.0, ("jpeg", "10"): 0.3, ("jpeg@256", "q75@256"): 0.0}
    measured = [
        Measurement(
            codec=codec,
            level=level,
            bpp=0.5 - 0.1 * place,
            costs=Costs(size_bytes=9000.0 - 2000 * place, tokens=100.0),
            losses=(rng.random(200) < share).astype(np.float64),
            score=1 - share,
        )
        for place, ((codec, level), share) in enumerate(lost.items())
    ]
    settings = judged(measured, 5.0)
    return Recommendation(
        vlm=vlm,
        adapter="",
        tolerance=5.0,
        settings=settings,
        best=cheapest(settings, Saving()),
        saving=Saving(),
        uncompressed=Costs(size_bytes=50_000.0, tokens=400.0),
        agreement=100.0,
    )


def with_every_column(found: Recommendation) -> Recommendation:
    """As of a check with prices and times, in which images failed; of other numbers of images."""
    rules = {"the same yes or no": 150, "content words in common": 50}
    costs = Costs(
        size_bytes=812_345.0,
        tokens=1105.0,
        token_usd=0.0028,
        usd_per_gb=0.09,
        encode_s=1.2345,
        decode_s=0.2345,
        answer_s=2.345,
    )
    settings = tuple(
        replace(
            one,
            images=200 - place,
            measured=replace(
                one.measured,
                codec=f"{one.codec} restored",
                costs=replace(costs, size_bytes=one.bytes_per_image),
                failed=3,
                by_rule=dict.fromkeys(rules, 0.925),
            ),
        )
        for place, one in enumerate(found.settings)
    )
    answers = OwnAnswers(
        questions=200,
        known=150,
        right=0.9,
        twice=200,
        repeated=0.975,
        rules={f"{rule} {n}": rule for rule, count in rules.items() for n in range(count)},
    )
    return replace(
        found,
        settings=settings,
        best=settings[-1],
        uncompressed=costs,
        agreement=92.5,
        answers=answers,
    )


def minimal_analysis() -> Analysis:
    """One task, one codec, one VLM, nothing resampled, no examples."""
    full = full_analysis()
    cells = tuple(
        replace(c, score=_exact(c.score.value))
        for c in full.cells
        if c.vlm == "eyechart-mini" and c.task == "POPE" and not c.adapter
        if c.codec in ("source", "jpeg")
    )
    bd = [b for b in full.bd if (b.vlm, b.task, b.codec) == ("eyechart-mini", "POPE", "jpeg")]
    return replace(
        full,
        tasks=full.tasks[:1],
        cells=cells,
        bd=tuple(b for b in bd if not b.adapter),
        gaps=(),
        icm=(),
        pairs=(),
        scaling=(),
        examples=(),
        failures=(),
        bootstrap_samples=0,
    )


def empty_analysis() -> Analysis:
    """A run in which nothing has been scored."""
    return replace(
        full_analysis(),
        tasks=(),
        cells=(),
        bd=(),
        gaps=(),
        examples=(),
        failures=(),
        icm=(),
        pairs=(),
        scaling=(),
    )


_MISSING = ("Qwen2.5-VL-3B", "MMBench", "elic", "0.004")


def _exact(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


def _around(value: float, width: float, rng: random.Random) -> Interval:
    return Interval(
        value=value,
        low=value - width * rng.uniform(0.8, 1.2),
        high=value + width * rng.uniform(0.8, 1.2),
    )


def _score(vlm: str, task: str, codec: str, rate_bpp: float, adapter: str) -> float:
    _, clean, chance, *_ = TASKS[task]
    clean *= VLMS[vlm]
    if codec == "source":
        return clean - (0.002 * clean if adapter else 0)
    seen = 1 - math.exp(-CODECS[codec][2] * rate_bpp)
    if adapter:
        seen = seen + 0.45 * (1 - seen)
    return chance + (clean - chance) * seen


def _lost(vlm: str, task: str, score: float) -> Interval:
    clean = _score(vlm, task, "source", 0, "")
    lost, half = clean - score, 0.02 * clean
    return Interval(value=lost, low=lost - half, high=lost + half)


def _task_cells(vlm: str, task: str, rng: random.Random) -> list[CellResult]:
    adapters = ("", ADAPTER) if vlm == "eyechart-mini" else ("",)
    found = []
    for adapter in adapters:
        found.append(_cell(vlm, task, "source", "", 0, 9.4, adapter, rng))
        for codec, (levels, rates, _) in CODECS.items():
            for rank, (level, rate) in enumerate(zip(levels, rates, strict=True)):
                found.append(_cell(vlm, task, codec, level, rank, rate, adapter, rng))
    if vlm == "eyechart-mini" and task == "SEEDBench":
        found += [
            replace(c, choices=True, vlm=CHOICE_SET, key=c.key + "-choices")
            for c in found
            if not c.adapter
        ]
    return found


def _cell(
    vlm: str,
    task: str,
    codec: str,
    level: str,
    rank: int,
    rate_bpp: float,
    adapter: str,
    rng: random.Random,
) -> CellResult:
    _, clean, _, names, questions, _ = TASKS[task]
    score = _score(vlm, task, codec, rate_bpp, adapter) + rng.gauss(0, 0.006 * clean)
    failed = 3 if (vlm, task, codec, level) == ("eyechart-mini", "GQA", "vvc", "QP53") else 0
    rate_bpp *= rng.uniform(0.97, 1.03)
    return CellResult(
        key=f"{vlm}-{task}-{codec}-{level}-{adapter}",
        vlm=vlm,
        adapter=adapter,
        task=task,
        codec=codec,
        level=level,
        rank=rank,
        bpp=rate_bpp,
        total_bpp=rate_bpp * 1.01,
        score=_around(score, 0.025 * clean, rng),
        loss=None if codec == "source" else _lost(vlm, task, score),
        metrics={
            name: score * (1 if i == 0 else rng.uniform(0.6, 1.1)) for i, name in enumerate(names)
        },
        questions=questions,
        answered=questions - failed,
        failed=failed,
        unparsed_share=max(0.0, 0.09 - 0.5 * rate_bpp) if codec != "source" else 0.0,
        choices=False,
        category="learned" if codec == "elic" else "traditional",
    )


def _pairs() -> list[PairResult]:
    """Each pair once, in the order of the codecs: the later one against the earlier one."""
    return [
        PairResult(
            vlm=vlm,
            adapter="",
            task=task,
            codec=codec,
            against=against,
            bd=Interval(value=2.0, low=1.5, high=2.5),
            flags=(),
            rate_percent=Interval(value=-20.0, low=-25.0, high=5.0),
            rate_flags=("small overlap 12 %",) if task == "GQA" else (),
        )
        for vlm in VLMS
        for task in TASKS
        for against, codec in combinations(CODECS, 2)
    ]


def _scaling() -> list[ScalingResult]:
    """As if the two VLMs were sizes of one."""
    return [
        ScalingResult(
            series="mini",
            task=task,
            codec=codec,
            vlms=tuple(SIZES),
            parameters=tuple(map(float, SIZES.values())),
            levels=4,
            drops=(Interval(value=9.0, low=7.0, high=11.0), Interval(value=8.0, low=6.5, high=9.0)),
            slope=Interval(value=-0.11, low=-0.3, high=0.1),
        )
        for task in TASKS
        for codec in CODECS
    ]


def _bds(cells: list[CellResult], rng: random.Random) -> list[BdResult]:
    """Means of the levels instead of the BD-Metric, because the report only formats numbers."""
    found = []
    for vlm in (*VLMS, CHOICE_SET):
        for task in TASKS:
            for codec in CODECS:
                found.append(_bd(cells, vlm, "", task, codec, "source", rng))
    for task in TASKS:
        for codec in CODECS:
            found.append(_bd(cells, "eyechart-mini", ADAPTER, task, codec, codec, rng))
            found.append(_bd(cells, "eyechart-mini", ADAPTER, task, codec, "source", rng))
    return [bd for bd in found if bd is not None]


def _bd(
    cells: list[CellResult],
    vlm: str,
    adapter: str,
    task: str,
    codec: str,
    anchor: str,
    rng: random.Random,
) -> BdResult | None:
    """anchor: the codec whose curve without adapter is subtracted."""
    scores = {
        key: [
            c.score.value
            for c in cells
            if (c.vlm, c.adapter, c.task, c.codec) == (vlm, key[0], task, key[1])
        ]
        for key in ((adapter, codec), ("", anchor))
    }
    own, base = scores[adapter, codec], scores["", anchor]
    if not own:
        return None
    value = sum(own) / len(own) - sum(base) / len(base)
    nothing = (vlm, task, codec) == ("Qwen2.5-VL-3B", "OCRBench", "jpeg")
    short = ("3 of 4 levels",) if len(own) < 4 else ()
    return BdResult(
        vlm=vlm,
        adapter=adapter,
        task=task,
        codec=codec,
        codec_name=codec,
        low_rate=CODECS[codec][1][0],
        high_rate=CODECS[codec][1][-1],
        baseline="uncompressed" if anchor == "source" else "no adapter",
        bd=None if nothing else _around(value, 0.018 * TASKS[task][1], rng),
        flags=("fewer than two rates",) if nothing else short,
    )


def _icm(cells: list[CellResult], rng: random.Random) -> list[IcmResult]:
    """`elic`, as if it were `hevc` adapted to machines."""
    found = []
    for adapter in ("", ADAPTER):
        for codec in ("hevc", "elic"):
            bd = _bd(cells, "eyechart-mini", adapter, "POPE", codec, "hevc", rng)
            own = (adapter, codec) == ("", "hevc")
            found.append(
                IcmResult(
                    vlm="eyechart-mini",
                    task="POPE",
                    base="hevc",
                    codec=codec,
                    adapter=adapter,
                    bd=_exact(0.0) if own or bd is None else bd.bd,
                    flags=("small overlap 40 %",) if codec == "elic" else (),
                )
            )
    return found


def _gaps(cells: list[CellResult]) -> list[GapResult]:
    found = []
    for task in ("POPE", "SEEDBench", "OCRBench"):
        clean = TASKS[task][1]
        for codec in ("jpeg", "hevc", "vvc"):
            levels = [
                c
                for c in cells
                if (c.vlm, c.task, c.codec, c.adapter) == ("eyechart-mini", task, codec, "")
                if not c.choices
            ]
            rows = [(c.level, c.score.value) for c in levels]
            rows.append(("", sum(value for _, value in rows) / len(rows)))
            for level, compressed in rows:
                lost = clean - compressed
                tuned = compressed + lost * (0.62 if level != "QP42" else 1.15)
                width = 0.02 * clean
                found.append(
                    GapResult(
                        vlm="eyechart-mini",
                        task=task,
                        codec=codec,
                        level=level,
                        adapter=ADAPTER,
                        uncompressed=clean,
                        compressed=compressed,
                        finetuned=tuned,
                        performance=Interval(value=lost, low=lost - width, high=lost + width),
                        information=Interval(
                            value=clean - tuned,
                            low=clean - tuned - width,
                            high=clean - tuned + width,
                        ),
                        generalization=Interval(
                            value=tuned - compressed,
                            low=tuned - compressed - width,
                            high=tuned - compressed + width,
                        ),
                    )
                )
    return found


def _examples() -> list[Example]:
    questions = (
        ("POPE", "Is there a red circle in the image?", "yes", "Yes", "No"),
        ("OCRBench", "What is written on the sign?", "STOP 24", "STOP 24", "SIOP 2A"),
        ("GQA", f"What colour is the triangle? {NASTY}", "green", "green", NASTY),
        ("COCO-Caption", "Please describe this image in general.", "a sign between shapes",
         "A yellow sign with the words STOP 24 stands between a red circle and a green triangle, "
         "in front of a hazy evening sky above a dark plain with soft shadows.", "  \n "),
        ("SEEDBench", "How many shapes?\nOptions:\nA. 1\nB. 2\nC. 3\n", "C", "C",
         "B \U0001f9d0 \u202etxet"),
    )  # fmt: skip
    found = []
    for number, (task, question, reference, right, wrong) in enumerate(questions):
        scene = _scene(number)
        for vlm in VLMS if number < 2 else ("eyechart-mini",):
            views = [_view("source", "", "", 9.4, None, _png(scene), right, True)]
            for codec, (levels, rates, speed) in CODECS.items():
                for rank, (level, rate) in enumerate(zip(levels, rates, strict=True)):
                    png = _png(_degrade(scene, codec, rank))
                    for adapter in ("", ADAPTER) if vlm == "eyechart-mini" else ("",):
                        seen = 1 - math.exp(-speed * rate) + (0.2 if adapter else 0) > 0.74
                        answer = right if seen else wrong
                        psnr = 21.0 + 2.1 * rank
                        views.append(_view(codec, level, adapter, rate, psnr, png, answer, seen))
            found.append(
                Example(
                    vlm=vlm, task=task, question=question, reference=reference, views=tuple(views)
                )
            )
    return found


def _view(
    codec: str,
    level: str,
    adapter: str,
    rate_bpp: float,
    psnr: float | None,
    png_base64: str,
    answer: str,
    right: bool,
) -> View:
    return View(
        codec=codec,
        level=level,
        adapter=adapter,
        bpp=rate_bpp,
        quality={"PSNR dB": psnr, "MS-SSIM": 0.9},
        png_base64=png_base64,
        answer=answer,
        right=right,
    )


def _scene(seed: int, side: int = 160) -> Image.Image:
    """A small image with something to see: sky, shapes, a sign."""
    rng = np.random.default_rng(seed)
    shade = np.linspace(0, 1, side)[:, None, None] * np.array([120, 60, -120])
    grain = rng.integers(-9, 10, (side, side, 1))
    sky = np.clip(np.array([90, 120, 190]) + shade + grain, 0, 255)
    picture = Image.fromarray(sky.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((14, 60, 62, 108), fill=(205, 48, 40), outline=(120, 20, 18), width=2)
    draw.polygon([(118, 62), (150, 118), (88, 118)], fill=(40, 150, 70))
    draw.rectangle((48, 18, 118, 52), fill=(245, 214, 70), outline=(60, 50, 10), width=2)
    draw.text((58, 27), "STOP 24", fill=(25, 22, 10))
    draw.rectangle((30, 126, 128, 150), fill=(70 + 25 * seed, 60, 140 - 20 * seed))
    return picture


def _degrade(scene: Image.Image, codec: str, rank: int) -> Image.Image:
    """JPEG is JPEG; the others are only blurred, the more the lower the rank."""
    if codec == "jpeg":
        buffer = io.BytesIO()
        scene.save(buffer, "JPEG", quality=(1, 3, 5, 6)[rank])
        return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
    radius = (4 - rank) * {"hevc": 0.9, "vvc": 0.7, "elic": 0.5}[codec]
    return scene.filter(ImageFilter.GaussianBlur(radius))


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()

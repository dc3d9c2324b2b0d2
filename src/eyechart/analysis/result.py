"""The frozen analysis of a run: all data of tables and the report.

It is computed once from the store (`analyse`) and written as `analysis.json`. The terminal, the
exports and the HTML report only format it. Scores are in the benchmark's own units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from eyechart.analysis.axis import BPP, Axis
from eyechart.core.hooks import SizeThreshold
from eyechart.core.types import UNCOMPRESSED, Reproducible


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with its bootstrap interval (paired over images). Equal bounds: not resampled."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1: the whole interval is above 0, -1: below. 0: neither, or there is no interval."""
        if self.low == self.high:
            return 0
        return (self.low > 0) - (self.high < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """One cell: task x codec x level x VLM x adapter."""

    key: str
    vlm: str
    adapter: str  # "" without
    task: str
    codec: str
    level: str
    rank: int  # among the levels that this run has of the codec: 0 = smallest measured bpp
    bpp: float  # mean of per-image bpp
    total_bpp: float  # all bits over all pixels
    score: Interval  # the headline metric
    loss: Interval | None  # uncompressed score of the VLM without adapter, less this one, paired
    metrics: dict[str, float]  # every sub-metric, in the benchmark's order
    questions: int  # to be asked in this cell
    answered: int
    failed: int
    unparsed_share: float  # 0..1 of the answered
    choices: bool  # choice-set protocol: never in one table with free answers
    reproducible: Reproducible = "bitwise"  # "per device": decoded images depend on the device
    category: str = ""  # of the codec: traditional, learned or generative; "" where unknown
    at_chance: str = ""  # of an uncompressed cell: that the VLM does not answer better than a guess
    axis_value: float | None = None  # mean over the images, where the axis is not bpp

    @property
    def rate(self) -> float:
        """Its place on the axis of the analysis, in the axis' unit."""
        return self.bpp if self.axis_value is None else self.axis_value


@dataclass(frozen=True, slots=True, kw_only=True)
class BdResult:
    """A BD-Metric: of a codec's curve against the uncompressed score, or with an adapter against
    without."""

    vlm: str
    adapter: str
    task: str
    codec: str
    codec_name: str  # without the options that `codec` may show; what adapters name
    baseline: str  # "uncompressed" or "no adapter"
    bd: Interval | None  # None when it cannot be computed; `flags` says why
    flags: tuple[str, ...]  # "non-monotone rates", "3 of 4 levels", "small overlap 12 %", ...
    low_rate: float  # the lowest and highest of the curve, over the axis of the analysis
    high_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """Two codecs at equal rates and at equal scores, for one VLM, adapter and task.

    bd: BD-Metric of `codec` over `against`, over the rates both have. rate_percent: BD-rate, over
    the scores both reach. None if there are none such; the flags say why.
    """

    vlm: str
    adapter: str  # "" without
    task: str
    codec: str
    against: str
    bd: Interval | None
    flags: tuple[str, ...]
    rate_percent: Interval | None
    rate_flags: tuple[str, ...]

    def turned(self) -> PairResult:
        """The same with the codecs exchanged."""
        bd, rate = self.bd, self.rate_percent
        return replace(
            self,
            codec=self.against,
            against=self.codec,
            bd=bd and Interval(value=-bd.value, low=-bd.high, high=-bd.low),
            rate_percent=rate
            and Interval(
                value=_turned_percent(rate.value),
                low=_turned_percent(rate.high),
                high=_turned_percent(rate.low),
            ),
        )


def _turned_percent(percent: float) -> float:
    """A change of the rate, seen from the other codec."""
    return 100 * (1 / (1 + percent / 100) - 1)


CorrelationScope: TypeAlias = Literal["all cells", "within codecs", "between codecs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityResult:
    """The mean of a quality metric over the images of a task, at one level of a codec."""

    task: str
    codec: str
    level: str
    metric: str
    quality: Interval
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationResult:
    """How far a quality metric and the scores of a VLM on a task rise together (paper Fig. 6).

    negated: less is better for the metric, so its values were negated. scope: which points: all
    levels of all codecs; levels around the mean of their codec; means of codecs. pearson,
    spearman: -1 to 1; None where one side is constant.
    """

    vlm: str
    task: str
    metric: str
    negated: bool
    scope: CorrelationScope
    points: int
    pearson: Interval | None
    spearman: Interval | None

    @property
    def label(self) -> str:
        """The metric's name, with a minus if its values were negated."""
        return f"−{self.metric}" if self.negated else self.metric


@dataclass(frozen=True, slots=True, kw_only=True)
class GapResult:
    """Paper eq. 1 at one level, or averaged over a codec's levels (level "")."""

    vlm: str
    task: str
    codec: str
    level: str
    adapter: str  # used as theta*
    uncompressed: float  # L(X, theta)
    compressed: float  # L(X^, theta)
    finetuned: float  # L(X^, theta*)
    performance: Interval
    information: Interval
    generalization: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmResult:
    """Paper Table 6: the curve of a codec adapted to machines, or of its base codec, against that
    of the base codec without an adapter, over the rates both share.

    bd: 0 for the base codec without an adapter; None when it cannot be computed, `flags` says why.
    """

    vlm: str
    task: str
    base: str  # the base codec
    codec: str  # the adapted codec, or the base codec
    adapter: str  # "" without
    bd: Interval | None
    flags: tuple[str, ...]


ComponentKind: TypeAlias = Literal["task", "codec", "vlm", "adapter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelInfo:
    """A level of a codec. weights: sha256 of its checkpoint, "" for none."""

    name: str
    knobs: dict[str, Any]
    weights: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentInfo:
    """A task, codec, VLM or adapter, as it is in the cells. version: of a task with a digest of its
    data, of a VLM or adapter a digest of its weights. max_new_tokens: of a task's answers. chroma:
    of a codec that has one format."""

    kind: ComponentKind
    name: str
    version: str
    options: dict[str, Any]
    levels: tuple[LevelInfo, ...] = ()
    max_new_tokens: int | None = None
    chroma: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VlmInfo:
    """A VLM and its size. series: its name without the size, equal for all sizes of one VLM."""

    name: str
    series: str
    parameters: int | None  # None: unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingResult:
    """Paper Fig. 5: what a codec costs the sizes of one VLM, the smallest first.

    drops: uncompressed score less the compressed one, the mean over the levels that all sizes have.
    slope: points of the drop for twice the parameters; below 0 a larger VLM loses less. shares: the
    drops in percent of each VLM's own uncompressed score, share_slope: their slope; both are
    missing where a VLM scores 0.
    """

    series: str
    task: str
    codec: str
    vlms: tuple[str, ...]
    parameters: tuple[float, ...]
    levels: int
    drops: tuple[Interval, ...]
    slope: Interval
    flags: tuple[str, ...] = ()
    shares: tuple[Interval, ...] = ()
    share_slope: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An image as a VLM received it, with the VLM's answer."""

    codec: str
    level: str
    adapter: str
    bpp: float
    quality: dict[str, float | None]  # "PSNR dB", "MS-SSIM"; None if it is not finite
    png_base64: str
    answer: str
    right: bool
    width_px: int = 0  # of the image that the VLM received; 0: unknown
    height_px: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleView:
    """Images of a task in one picture, as a level of a codec leaves them. bpp: of the level."""

    task: str
    codec: str
    level: str
    bpp: float
    png_base64: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A question that is right on the uncompressed image, and wrong at this level of a codec and at
    all lower rates. bpp: of its image."""

    vlm: str
    task: str
    codec: str
    level: str
    question: str
    image: str
    bpp: float
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One question about one image, answered under every codec (paper Fig. 2 and 8)."""

    vlm: str
    task: str
    question: str
    reference: str
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """A task and its headline metric."""

    name: str
    headline_metric: str
    questions: int  # the most that are asked in one cell
    images: int
    whole_images: int = 0  # of the task, if those asked are a sample of them
    caution: str = ""  # why its intervals are not reliable
    stored_as: str = ""  # how many of its uncompressed images are JPEG files, of which quality
    metric_labels: dict[str, str] = field(default_factory=dict)  # where they differ from the names
    thresholds: tuple[SizeThreshold, ...] = ()  # smallest sizes that it measures
    sample_text: str = ""  # what the pictures of `samples` show

    def label(self, metric: str) -> str:
        """A metric as tables and charts name it: `F1, %` for POPE's "Overall Overall"."""
        return self.metric_labels.get(metric, metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterInfo:
    """Training codecs of an adapter; all other codecs are unseen (paper Table 5)."""

    name: str
    trained_codecs: tuple[str, ...]  # `source` aside


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The analysis of a whole run."""

    title: str
    eyechart_version: str
    created: str  # ISO 8601, UTC
    data: str  # "eyechart-mini" or the user's directory name
    tasks: tuple[TaskInfo, ...]
    cells: tuple[CellResult, ...]  # codec "source" is the uncompressed image
    bd: tuple[BdResult, ...]
    gaps: tuple[GapResult, ...]
    examples: tuple[Example, ...]
    failures: tuple[tuple[str, int], ...]  # (what, how many)
    bootstrap_samples: int
    seed: int
    adapters: tuple[AdapterInfo, ...] = ()
    unanswered: tuple[str, ...] = ()  # cells that are to be asked and hold no answer
    made_from: str = ""  # fingerprint of the records (`Store.fingerprint`), "" where unknown
    icm: tuple[IcmResult, ...] = ()
    pairs: tuple[PairResult, ...] = ()  # each pair of codecs once
    left_out: tuple[str, ...] = ()  # one line for each task whose plug-in fails
    quality: tuple[QualityResult, ...] = ()
    correlations: tuple[CorrelationResult, ...] = ()
    vlms: tuple[VlmInfo, ...] = ()
    flips: tuple[Flip, ...] = ()
    samples: tuple[SampleView, ...] = ()
    components: tuple[ComponentInfo, ...] = ()
    commands: tuple[str, ...] = ()  # what was typed to run it
    scaling: tuple[ScalingResult, ...] = ()
    axis: Axis = BPP  # of curves and BD-Metrics
    off_axis: str = ""  # one line on the cells whose place on the axis is unknown


def per_device_codecs(analysis: Analysis) -> tuple[str, ...]:
    """The codecs whose decoded images depend on the device, in the order of the cells."""
    found = (cell.codec for cell in analysis.cells if cell.reproducible == "per device")
    return tuple(dict.fromkeys(found))


def codecs_by_category(analysis: Analysis) -> dict[str, tuple[str, ...]]:
    """Category -> its codecs, both in the order of the cells; without the uncompressed image."""
    found: dict[str, dict[str, None]] = {}
    for cell in analysis.cells:
        if cell.codec != UNCOMPRESSED and cell.category:
            found.setdefault(cell.category, {})[cell.codec] = None
    return {category: tuple(codecs) for category, codecs in found.items()}


def categories_of(analysis: Analysis, codecs: Sequence[str]) -> tuple[str, ...]:
    """The category of each codec, "" where unknown; () if all are of one."""
    known = {cell.codec: cell.category for cell in analysis.cells}
    found = tuple(known.get(codec, "") for codec in codecs)
    return found if len(set(found)) > 1 else ()

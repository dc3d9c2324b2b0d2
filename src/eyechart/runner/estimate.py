"""What a plan would take: counted from the data, timed on one picture; nothing is stored.

Codecs that work here are measured at the call, at all their levels, on one picture, and taken to
other tasks by the pixels of those tasks' own first pictures. VLMs are not loaded for an estimate:
their speeds were measured before (see rates.py) or are given by the user.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.core import plugins
from eyechart.core.errors import EyechartError, InputError, PluginError
from eyechart.core.types import Codec, Level, NeuralCodec, Rgb8, Task
from eyechart.runner.costs import UsdRange, usd_before
from eyechart.runner.plan import CodecEntry, Plan
from eyechart.runner.rates import Rate, built_in_rates, rate_of
from eyechart.runner.resolve import codec_levels, lanes_of, open_spec
from eyechart.runner.work import TaskWork, task_work
from eyechart.tasks.sampling import by_image

# Different pictures in the official files; MMBench's rotations and POPE's questions share theirs.
OFFICIAL_IMAGES = {
    "POPE": 500,
    "GQA": 398,
    "COCO-Caption": 5000,
    "OCRBench": 1000,
    "MME": 1187,
    "MMBench": 1164,
    "SEEDBench": 14232,
}
# The paper's codecs that may not be here, at four levels each (Table 7): the mean of their rates,
# levels and tasks alike (Tables 9 to 15), or what the paper says of all of its levels.
_MOST_BPP = 0.3
PAPER_BPP = {
    "hm": _MOST_BPP,
    "vtm": _MOST_BPP,
    "elic": 0.142,
    "tcm": _MOST_BPP,
    "mlicpp": _MOST_BPP,
    "hific": _MOST_BPP,
    "ms-illm": 0.099,
    "diffeic": _MOST_BPP,
    "rdeic": 0.075,
    "stablecodec": _MOST_BPP,
}
PAPER_LEVELS = 4
RECORD_BYTES = 250  # a line of records.jsonl with a short answer
OFFICIAL_SIZE_PX = (480, 640)  # height, width of a picture of COCO


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEstimate:
    """A task's size; `note` says where it was read. pixels: of its first picture."""

    name: str
    questions: int
    images: int
    note: str
    pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecEstimate:
    """Means over a codec's levels, of one picture. code_s None: it does not work here (`note`);
    payload_bytes then is of the rates in the paper, None where it has none."""

    name: str
    levels: int
    code_s: float | None  # encode and decode
    payload_bytes: float | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneEstimate:
    """A VLM with its adapter. rate: None where nobody measured it. usd: of all its questions; None
    where it costs nothing or the cost cannot be told."""

    name: str
    rate: Rate | None
    usd: UsdRange | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The whole plan."""

    lanes: tuple[LaneEstimate, ...]
    tasks: tuple[TaskEstimate, ...]
    codecs: tuple[CodecEstimate, ...]
    picture_px: tuple[int, int]  # height, width of the picture that was timed

    @property
    def levels(self) -> int:
        """Codec levels together."""
        return sum(codec.levels for codec in self.codecs)

    @property
    def cells(self) -> int:
        """Cells of the plan."""
        return len(self.lanes) * len(self.tasks) * self.levels

    @property
    def pictures(self) -> int:
        """Pictures to encode and decode, if no two tasks share an image."""
        return self.levels * sum(task.images for task in self.tasks)

    @property
    def questions(self) -> int:
        """Questions to answer, all VLMs together."""
        return len(self.lanes) * self.levels * sum(task.questions for task in self.tasks)

    def answer_s(self, unmeasured: Rate | None = None) -> float | None:
        """Time of all VLMs after one another; None where one was never measured.

        unmeasured: stands for the rates of these.
        """
        questions = self.questions / len(self.lanes)
        rates = [rate for lane in self.lanes if (rate := lane.rate or unmeasured)]
        if len(rates) < len(self.lanes):
            return None
        return sum(rate.answer_s(images=self.pictures, questions=questions) for rate in rates)

    @property
    def code_s(self) -> float:
        """Processor time of the codecs that were timed, for every picture once."""
        return self._pictures_timed * sum((one.code_s or 0) * one.levels for one in self.codecs)

    def stream_bytes(self, codec: CodecEstimate) -> float:
        """Bitstreams of a codec, as far as their size is known."""
        return self._pictures_timed * (codec.payload_bytes or 0) * codec.levels

    @property
    def disk_bytes(self) -> float:
        """Bitstreams, as far as their size is known, and records."""
        return sum(map(self.stream_bytes, self.codecs)) + self.questions * RECORD_BYTES

    @property
    def _pictures_timed(self) -> float:
        """All tasks' pictures as so many of the size that was timed."""
        height_px, width_px = self.picture_px
        return sum(task.images * task.pixels for task in self.tasks) / (height_px * width_px)


def processor_s() -> float:
    """Processor time of this process and the programs it has run: other load does not count."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def estimate(
    plan: Plan,
    *,
    rate: float | None = None,
    rates: Mapping[str, Rate] | None = None,
    clock: Callable[[], float] = processor_s,
) -> Estimate:
    """Size up a plan; files and codecs that are not here are counted as published.

    rate: questions a second of every VLM, instead of what was measured. rates: measured speeds by
    VLM; they come before the package's own.

    Raises:
        InputError: a name that nobody knows, a level that the codec does not have.
    """
    from eyechart.tasks import open_tasks

    tasks = open_tasks(plan.tasks, plan.data)
    sizes = [_task_size(task, plan) for task in tasks]
    picture = _picture(tasks, sizes)
    height_px, width_px, _ = picture.shape
    given = None if rate is None else Rate(questions_per_s=rate, hardware="as given")
    known = {**built_in_rates(), **(rates or {})}
    names = lanes_of(plan)
    codecs = tuple(_codec(entry, picture, clock) for entry in plan.codecs)
    left = [
        (task_work(task, plan.max_images), sum(codec.levels for codec in codecs) * size.questions)
        for task, size in zip(tasks, sizes, strict=True)
        if size.note == "counted"
    ]
    costs = [
        _usd(spec, left) if len(left) == len(tasks) else None
        for spec in plan.vlms
        for _ in plan.adapters
    ]
    return Estimate(
        lanes=tuple(
            LaneEstimate(name=name, rate=given or rate_of(name, known), usd=usd)
            for name, usd in zip(names, costs, strict=True)
        ),
        tasks=tuple(sizes),
        codecs=codecs,
        picture_px=(height_px, width_px),
    )


def _usd(spec: str, left: Sequence[tuple[TaskWork, int]]) -> UsdRange | None:
    try:
        return usd_before(open_spec(spec), left)
    except EyechartError:  # a plan may be sized up where its VLM cannot be opened
        return None


def _task_size(task: Task, plan: Plan) -> TaskEstimate:
    rows = _rows_of_missing_file(task)
    if rows:
        whole = OFFICIAL_IMAGES[task.name]
        images = min(whole, plan.max_images or whole)
        return TaskEstimate(
            name=task.name,
            questions=round(rows * images / whole),
            images=images,
            note=f"the official file's size; not in {plan.data or 'the built-in chart'}",
            pixels=OFFICIAL_SIZE_PX[0] * OFFICIAL_SIZE_PX[1],
        )
    chosen = by_image(task.questions(), plan.max_images)
    height_px, width_px, _ = task.image(chosen[0][0]).shape if chosen else (0, 0, 3)
    return TaskEstimate(
        name=task.name,
        questions=sum(len(its) for _, its in chosen),
        images=len(chosen),
        note="counted",
        pixels=height_px * width_px,
    )


def _rows_of_missing_file(task: Task) -> int:
    """How many rows an official file has that is not here; 0 where the task can be counted."""
    from eyechart.tasks.tsv_task import TsvTask

    if not isinstance(task, TsvTask) or task.name not in OFFICIAL_IMAGES:
        return 0
    rows = next((official.rows for official in task.official if official.rows), 0)
    try:
        return 0 if task.path.is_file() else rows
    except InputError:
        return rows


def _picture(tasks: Sequence[Task], sizes: Sequence[TaskEstimate]) -> Rgb8:
    """A picture of the data where there is one, else noise as smooth as a photograph's."""
    for task, size in zip(tasks, sizes, strict=True):
        if size.note == "counted" and size.images:
            return task.image(by_image(task.questions(), 1)[0][0])
    random = np.random.default_rng(0)
    height_px, width_px = OFFICIAL_SIZE_PX
    frequency = np.hypot(np.fft.fftfreq(height_px)[:, None], np.fft.rfftfreq(width_px))
    frequency[0, 0] = 1
    planes = random.standard_normal((3, *frequency.shape)) / frequency**1.2
    noise = np.fft.irfft2(planes, s=OFFICIAL_SIZE_PX)
    noise = 128 + 50 * (noise - noise.mean()) / noise.std()
    picture: Rgb8 = np.moveaxis(noise.clip(0, 255), 0, -1).astype(np.uint8)
    return picture


def _codec(entry: CodecEntry, picture: Rgb8, clock: Callable[[], float]) -> CodecEstimate:
    name, _ = plugins.parse_spec(entry.codec)
    try:
        found = codec_levels(entry)
    except PluginError as error:
        if name not in PAPER_BPP:
            raise
        levels = len(entry.levels or ()) or PAPER_LEVELS
        unknown = name not in plugins.names("eyechart.codecs")
        return _absent(name, levels, picture, "not installed here" if unknown else str(error))
    levels = len(found.levels)
    try:
        if isinstance(found.codec, NeuralCodec):
            found.codec.check()
        trials = [_trial(found.codec, level, picture, clock) for level in found.levels]
    except EyechartError as error:
        return _absent(name, levels or PAPER_LEVELS, picture, str(error))
    code_s, payload_bytes = np.mean(trials, axis=0)
    return CodecEstimate(
        name=name,
        levels=levels,
        code_s=float(code_s),
        payload_bytes=float(payload_bytes),
        note="",
    )


def _absent(name: str, levels: int, picture: Rgb8, why: str) -> CodecEstimate:
    height_px, width_px, _ = picture.shape
    bpp = PAPER_BPP.get(name)
    return CodecEstimate(
        name=name,
        levels=levels,
        code_s=None,
        payload_bytes=None if bpp is None else bpp * height_px * width_px / 8,
        note=why.removeprefix(f"{name}: "),
    )


def _trial(
    codec: Codec, level: Level, picture: Rgb8, clock: Callable[[], float]
) -> tuple[float, int]:
    start_s = clock()
    bitstream = codec.encode(picture, level)
    codec.decode(bitstream)
    return clock() - start_s, len(bitstream.payload)

"""Estimate of a plan's size and time, from the data and from timing one image. Stores nothing.

Installed codecs are timed at their levels on one image, those with weights only if these are small.
The times are scaled to other tasks by the pixels of their first images. VLMs are not loaded: their
speeds are earlier measurements (see rates.py) or given by the user.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from eyechart.codecs.opening import parse_codec, plugin_of
from eyechart.codecs.reconstruct import SLOW_DECODE_S, Reconstructor, SourceImage
from eyechart.core import plugins
from eyechart.core.attempt import Failed
from eyechart.core.errors import EyechartError, NotDownloadedError, PluginError
from eyechart.core.hooks import HasFile, HasWeightFiles, PublishedFile
from eyechart.core.images import encode_png
from eyechart.core.types import Codec, Level, NeuralCodec, Rgb8, Task, is_neural
from eyechart.runner.costs import UsdRange, usd_before
from eyechart.runner.plan import NO_ADAPTER, CodecEntry, Plan
from eyechart.runner.rates import AnswerRate, built_in_rates, rate_of
from eyechart.runner.resolve import codec_levels, model_names, open_spec
from eyechart.runner.work import among, task_work
from eyechart.store.remote import small_downloads, url_of
from eyechart.store.url_folders import without_downloads
from eyechart.tasks.sampling import images_to_ask
from eyechart.vlms.devices import codec_devices

RECORD_BYTES = 250  # a line of records.jsonl with a short answer
OFFICIAL_SIZE_PX = (480, 640)  # height, width of an image of COCO
# Codecs with larger weights, or of unknown size, are not timed: that would take minutes on a CPU.
MOST_WEIGHTS_BYTES = 1_000_000_000
_ENOUGH_S = 20  # after which no further level of a codec is timed


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCodec:
    """Published facts of a codec that may not be installed. bpp: mean over its levels; bpp_from:
    where it is from."""

    levels: int
    bpp: float
    bpp_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEstimate:
    """A task's size. note: where it was read. pixels: of its first image."""

    name: str
    questions: int
    images: int
    note: str
    pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecEstimate:
    """Means over a codec's levels, or the first of them if they are slow, for one image.

    code_s: None if the codec does not work on this machine (`note` says why); payload_bytes is then
    from the published rates, or None. slow_decode: whether its decoded images are stored, because
    decoding takes longer than reading them; assumed for codecs that were not timed. tasks,
    adapters: those it is run for, as the plan has them; None: all.
    """

    name: str
    levels: int
    code_s: float | None  # encode and decode
    payload_bytes: float | None
    note: str
    slow_decode: bool = False
    bpp_from: str = ""  # where the bytes are from if they were not measured
    tasks: tuple[str, ...] | None = None
    adapters: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEstimate:
    """A VLM with its adapter, which has its name in the plan. rate: None if it was not measured.
    usd: cost of all its questions; None if there is none or it is unknown."""

    name: str
    rate: AnswerRate | None
    usd: UsdRange | None
    adapter: str = NO_ADAPTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The whole plan."""

    models: tuple[ModelEstimate, ...]
    tasks: tuple[TaskEstimate, ...]
    codecs: tuple[CodecEstimate, ...]
    image_px: tuple[int, int]  # height, width of the image that was timed
    png_bytes: int = 0  # size of that image as a PNG

    @property
    def cells(self) -> int:
        """Number of cells of the plan."""
        return sum(
            _levels(self.codecs, task, model.adapter)
            for model in self.models
            for task in self.tasks
        )

    @property
    def images(self) -> int:
        """Images to encode and decode, if no two tasks share an image."""
        return sum(_levels(self.codecs, task) * task.images for task in self.tasks)

    @property
    def questions(self) -> int:
        """Number of questions to answer, of all VLMs."""
        return sum(self._questions(model) for model in self.models)

    def _questions(self, model: ModelEstimate) -> int:
        return sum(
            _levels(self.codecs, task, model.adapter) * task.questions for task in self.tasks
        )

    def _images(self, model: ModelEstimate) -> int:
        return sum(_levels(self.codecs, task, model.adapter) * task.images for task in self.tasks)

    def answer_s(self, unmeasured_per_s: float | None = None) -> float | None:
        """Time of all VLMs, one after another; None if the rate of one is unknown.

        unmeasured_per_s: questions per second to use for these.
        """
        guess = None if unmeasured_per_s is None else AnswerRate(questions_per_s=unmeasured_per_s)
        times_s = [
            rate.answer_s(images=self._images(model), questions=self._questions(model))
            for model in self.models
            if (rate := model.rate or guess)
        ]
        return sum(times_s) if len(times_s) == len(self.models) else None

    @property
    def code_s(self) -> float:
        """Processor time of the codecs that were timed, for every image once."""
        return sum(
            self._images_timed(codec) * (codec.code_s or 0) * codec.levels for codec in self.codecs
        )

    def stream_bytes(self, codec: CodecEstimate) -> float:
        """Size of a codec's bitstreams; 0 if unknown."""
        return self._images_timed(codec) * (codec.payload_bytes or 0) * codec.levels

    @property
    def disk_bytes(self) -> float:
        """Size of the records and of the bitstreams with known sizes."""
        return sum(map(self.stream_bytes, self.codecs)) + self.questions * RECORD_BYTES

    @property
    def decoded_bytes(self) -> float:
        """Decoded images, as PNG, of all codecs that decode slowly, without a budget."""
        slow = (codec for codec in self.codecs if codec.slow_decode)
        images = sum(self._images_timed(codec) * codec.levels for codec in slow)
        return images * self.png_bytes

    def _images_timed(self, codec: CodecEstimate) -> float:
        """Number of images of the timed size that have as many pixels as all images of the codec's
        tasks."""
        height_px, width_px = self.image_px
        own = (task for task in self.tasks if among(task.name, codec.tasks))
        return sum(task.images * task.pixels for task in own) / (height_px * width_px)


def _levels(codecs: Sequence[CodecEstimate], task: TaskEstimate, adapter: str | None = None) -> int:
    """Number of levels of all codecs that are run for a task, with one adapter or with any."""
    return sum(
        codec.levels
        for codec in codecs
        if among(task.name, codec.tasks) and (adapter is None or among(adapter, codec.adapters))
    )


def processor_s() -> float:
    """Processor time of this process and its child processes, independent of other load."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@small_downloads()
def estimate(
    plan: Plan,
    *,
    rate: float | None = None,
    rates: Mapping[str, AnswerRate] | None = None,
    published: Mapping[str, PublishedCodec] | None = None,
    clock: Callable[[], float] = processor_s,
) -> Estimate:
    """Estimate a plan; published numbers replace missing data files and codecs.

    rate: questions per second of every VLM, instead of measurements. rates: measured speeds by VLM,
    which override the package's own. published: facts of codecs by name, for missing ones.

    Raises:
        InputError: an unknown name, or a level that the codec does not have.
    """
    from eyechart.tasks import open_tasks

    tasks = open_tasks(plan.tasks, plan.data)
    sizes = [
        _task_size(name, task, plan) for name, task in zip(plan.task_names, tasks, strict=True)
    ]
    image = _sample_image(tasks, sizes)
    height_px, width_px, _ = image.shape
    given = None if rate is None else AnswerRate(questions_per_s=rate, hardware="as given")
    known = {**built_in_rates(), **(rates or {})}
    names = model_names(plan)
    codecs = tuple(
        replace(
            _codec(entry, image, published or {}, clock),
            tasks=entry.tasks,
            adapters=entry.adapters,
        )
        for entry in plan.codecs
    )
    asked = {
        adapter: [_levels(codecs, size, adapter) * size.questions for size in sizes]
        for adapter in plan.adapters
    }
    counted = all(size.note == "counted" for size in sizes)
    return Estimate(
        models=tuple(
            ModelEstimate(
                name=name,
                rate=given or rate_of(name, known),
                usd=_usd(spec, tasks, asked[adapter], plan.max_images) if counted else None,
                adapter=adapter,
            )
            for name, (spec, adapter) in zip(names, product(plan.vlms, plan.adapters), strict=True)
        ),
        tasks=tuple(sizes),
        codecs=codecs,
        image_px=(height_px, width_px),
        png_bytes=len(encode_png(image)),
    )


def _usd(
    spec: str, tasks: Sequence[Task], questions: Sequence[int], max_images: int | None
) -> UsdRange | None:
    """Cost of a number of questions of each task."""
    try:
        # No VLM with weights of its own has a price.
        with plugins.guarded(spec), without_downloads():
            left = [task_work(task, max_images) for task in tasks]
            return usd_before(open_spec(spec), zip(left, questions, strict=True))
    except EyechartError:  # a plan can be estimated if its VLMs cannot be opened
        return None


def _task_size(name: str, task: Task, plan: Plan) -> TaskEstimate:
    with plugins.guarded(name):
        return _published_size(task, plan) or _counted_size(task, plan)


def _published_size(task: Task, plan: Plan) -> TaskEstimate | None:
    """The size of the published file of a task without data."""
    missing = _missing_file(task)
    if missing and missing.rows and (whole := missing.image_count):
        images = min(whole, plan.max_images or whole)
        where = plan.data or "the built-in chart"
        unread = "not read from" if url_of(where) else "not in"  # missing there, or too large
        return TaskEstimate(
            name=task.name,
            questions=round(missing.rows * images / whole),
            images=images,
            note=f"the official file's size; {unread} {where}",
            pixels=OFFICIAL_SIZE_PX[0] * OFFICIAL_SIZE_PX[1],
        )
    return None


def _counted_size(task: Task, plan: Plan) -> TaskEstimate:
    chosen = images_to_ask(task, plan.max_images)
    height_px, width_px, _ = task.image(chosen[0][0]).shape if chosen else (0, 0, 3)
    return TaskEstimate(
        name=task.name,
        questions=sum(len(its) for _, its in chosen),
        images=len(chosen),
        note="counted",
        pixels=height_px * width_px,
    )


def _missing_file(task: Task) -> PublishedFile | None:
    """The published file of a task without data; None if the task's data is found."""
    if not isinstance(task, HasFile) or (file := task.data_file()).path is not None:
        return None
    return next((one for one in file.published if one.rows and one.image_count), None)


def _sample_image(tasks: Sequence[Task], sizes: Sequence[TaskEstimate]) -> Rgb8:
    """An image of the data, or smooth noise similar to a photograph if there is none."""
    for task, size in zip(tasks, sizes, strict=True):
        if size.note == "counted" and size.images:
            with plugins.guarded(size.name):
                return task.image(images_to_ask(task, 1)[0][0])
    random = np.random.default_rng(0)
    height_px, width_px = OFFICIAL_SIZE_PX
    frequency = np.hypot(np.fft.fftfreq(height_px)[:, None], np.fft.rfftfreq(width_px))
    frequency[0, 0] = 1
    planes = random.standard_normal((3, *frequency.shape)) / frequency**1.2
    noise = np.fft.irfft2(planes, s=OFFICIAL_SIZE_PX)
    noise = 128 + 50 * (noise - noise.mean()) / noise.std()
    image: Rgb8 = np.moveaxis(noise.clip(0, 255), 0, -1).astype(np.uint8)
    return image


def _codec(
    entry: CodecEntry,
    image: Rgb8,
    published: Mapping[str, PublishedCodec],
    clock: Callable[[], float],
) -> CodecEstimate:
    name, _ = parse_codec(entry.codec)
    try:
        found = codec_levels(entry)
    except (PluginError, NotDownloadedError) as error:
        if name not in published:
            raise
        levels = len(entry.levels or ()) or published[name].levels
        unknown = plugin_of(name) not in plugins.names("eyechart.codecs")
        why = "not installed here" if unknown else str(error)
        return _absent(name, levels, image, published, why)
    levels = len(found.levels)
    try:
        with plugins.guarded(name):
            if is_neural(found.codec) and not _has_small_weights(found.codec, found.levels):
                why = "not timed, because its weights are not read here"
                return _absent(name, levels, image, published, why)
            trials = _trials(found.codec, found.levels, image, clock)
    except EyechartError as error:
        return _absent(name, levels, image, published, str(error))
    code_s, payload_bytes, decode_s = np.mean(trials, axis=0)
    return CodecEstimate(
        name=name,
        levels=levels,
        code_s=float(code_s),
        payload_bytes=float(payload_bytes),
        note="",
        slow_decode=is_neural(found.codec) or bool(decode_s > SLOW_DECODE_S),
    )


def _absent(
    name: str, levels: int, image: Rgb8, published: Mapping[str, PublishedCodec], why: str
) -> CodecEstimate:
    height_px, width_px, _ = image.shape
    bpp = published[name].bpp if name in published else None
    return CodecEstimate(
        name=name,
        levels=levels,
        code_s=None,
        payload_bytes=None if bpp is None else bpp * height_px * width_px / 8,
        note=why.removeprefix(f"{name}: "),
        slow_decode=True,
        bpp_from=published[name].bpp_from if name in published else "",
    )


def _has_small_weights(codec: NeuralCodec, levels: Sequence[Level]) -> bool:
    return isinstance(codec, HasWeightFiles) and all(
        codec.weights_bytes(level) <= MOST_WEIGHTS_BYTES for level in levels
    )


def _trials(
    codec: Codec, levels: Sequence[Level], image: Rgb8, clock: Callable[[], float]
) -> list[tuple[float, int, float]]:
    """Seconds to encode and decode, bytes, and seconds to decode of the levels that are timed.
    Weights are read before the clock starts, because a run reads them once for many images."""
    device = codec_devices("auto")[0] if is_neural(codec) else "cpu"
    reconstructor = Reconstructor(device=device, clock=clock)
    source = SourceImage.of(image, "sample")
    found: list[tuple[float, int, float]] = []
    try:
        if device != "cpu":  # the first image on a GPU takes seconds
            reconstructor.make(codec, levels[0], [source])
        for level in levels:
            if sum(code_s for code_s, _, _ in found) > _ENOUGH_S:
                break
            (made,) = reconstructor.make(codec, level, [source])
            if isinstance(made, Failed):
                made.raise_error()
            found.append((made.encode_s + made.decode_s, made.payload_bytes, made.decode_s))
    finally:
        reconstructor.close()
    return found

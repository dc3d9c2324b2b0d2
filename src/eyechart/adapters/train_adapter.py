"""Training an adapter from names and folders: what `eyechart adapter train` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from eyechart.adapters.answers import ScoreChange, compare
from eyechart.adapters.base import open_base
from eyechart.adapters.checks import require_training_folder
from eyechart.adapters.condition import Vocabulary, aliases_by_rank, entries_of
from eyechart.adapters.package import AdapterConfig, with_answers
from eyechart.adapters.pairs import CodecPairs, FolderPairs, Pairs
from eyechart.adapters.recipe import Recipe
from eyechart.adapters.training import AdapterTraining, TrainingSettings
from eyechart.adapters.watcher import SilentWatcher, Watcher
from eyechart.codecs import open_codec
from eyechart.codecs.reconstruct import check_batch
from eyechart.core import plugins
from eyechart.core.built_in import BUILT_IN_VLM
from eyechart.core.errors import InputError
from eyechart.core.files import require_place
from eyechart.core.hooks import restores_size
from eyechart.core.images import find_images
from eyechart.core.types import VLM, Codec, Task, component_of, is_neural
from eyechart.tasks import open_tasks
from eyechart.vlms import open_vlm
from eyechart.vlms.devices import codec_devices


class Observer(Watcher, Protocol):
    """Receives the progress of a training, and what precedes and follows it."""

    def checked(self, images: int, left_out: Sequence[str], first_step: int) -> None:
        """The input is accepted: how many images there are, files in an unknown format, and the
        step at which a stopped training continues."""
        ...

    def compared(self, row: ScoreChange) -> None:
        """Answers without and with the adapter are scored."""
        ...


class SilentObserver(SilentWatcher):
    """Ignores the progress."""

    def checked(self, images: int, left_out: Sequence[str], first_step: int) -> None: ...

    def compared(self, row: ScoreChange) -> None: ...


def train_adapter(
    images: Path,
    out: Path,
    recipe: Recipe,
    *,
    vlm: str = BUILT_IN_VLM,
    codecs: Sequence[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    cache: Path | None = None,
    tasks: Sequence[str] = (),
    task_images: int = 40,
    codec_device: str = "auto",
    codec_batch: int | None = None,
    observer: Observer | None = None,
) -> AdapterConfig:
    """Distil an adapter and write it to `out`; continues a training that was stopped there.

    images: folder of uncompressed images, or of pairs (see `FolderPairs`) without codecs.
    vlm, codecs, tasks: names, with options. aliases: codecs that are not trained on -> those that
    they are treated as. cache: folder of compressed images; None: in `out`. tasks: asked at the
    end without and with the adapter, on `task_images` images each; the scores are stored with it.
    codec_device: for codecs with weights, see `codec_devices`; each process uses one. codec_batch:
    images in one call of them.

    Raises:
        InputError, PluginError: before any work: something named is not there, an image cannot be
            read, `out` holds something else.
        TrainingError: the loss is not a number. CodecError, StoreError.
    """
    watcher = observer or SilentObserver()
    cache = cache or out / "cache"
    asked = open_tasks(tasks) if tasks else []
    for task in asked:
        with plugins.guarded(plugins.name_of(task)):
            task.questions()  # a wrong file is an error before the training
    batch_images = check_batch(codec_batch)
    require_training_folder(out)
    coders = [_open_codec(spec) for spec in codecs or ()]
    device = _own_device(coders, codec_device)
    pairs: Pairs
    if codecs is None:
        pairs = FolderPairs(images)
    else:
        require_place(cache)
        pairs = CodecPairs(images, coders, cache, device=device, batch_images=batch_images)
    training = AdapterTraining(
        open_base(vlm),
        pairs,
        recipe,
        TrainingSettings(out=out),
        watcher,
        aliases_by_rank(aliases or {}, Vocabulary(entries=pairs.entries)),
    )
    watcher.checked(len(pairs.names), _left_out(images, out, cache), training.first)
    config = training.run()
    if not asked:
        return config
    with_codecs = partial(
        compare, codecs=coders, images=task_images, device=device, batch_images=batch_images
    )
    return _measured(vlm, out, asked, task_images, with_codecs, watcher)


def _open_codec(spec: str) -> Codec:
    """A codec that works here, as far as is known before it encodes. Raises InputError."""
    codec = open_codec(spec)
    with plugins.guarded(spec):
        component_of(codec)
        entries_of([codec])
        if not restores_size(codec):
            raise InputError(
                f"codec {spec}: hands on smaller images, and training compares images of one "
                "size; allowed: restore=true"
            )
        if is_neural(codec):
            codec.check()
    return codec


def _own_device(codecs: Sequence[Codec], wanted: str) -> str:
    """The device on which this process runs codecs with weights. Of several processes, started by
    `accelerate launch`, each uses another one. Raises InputError."""
    if not any(map(is_neural, codecs)):
        return "cpu"
    devices = codec_devices(wanted)
    return devices[int(os.environ.get("LOCAL_RANK", "0")) % len(devices)]


def _left_out(images: Path, *ours: Path) -> list[str]:
    """Files in the image folder that are not used, without those that a training writes."""
    written = [place.resolve() for place in ours]
    return [
        str(path.relative_to(images))
        for path in find_images(images)[1]
        if not any((path.parent.resolve() / path.name).is_relative_to(place) for place in written)
    ]


def _measured(
    vlm: str,
    out: Path,
    tasks: Sequence[Task],
    images: int,
    compared: Callable[[VLM, VLM, Sequence[Task]], Iterator[ScoreChange]],
    observer: Observer,
) -> AdapterConfig:
    """Ask held-out questions without and with the adapter; store the scores in its config."""
    name, given = plugins.parse_spec_or_directory(vlm)
    options: dict[str, Any] = given
    plain, adapted = open_vlm(name, **options), open_vlm(name, adapter=str(out), **options)
    rows = []
    for row in compared(plain, adapted, tasks):
        observer.compared(row)
        rows.append(
            {
                "task": row.task,
                "condition": row.condition,
                "without": row.without,
                "with": row.with_adapter,
            }
        )
    return with_answers(out, {"images": images, "rows": rows})

"""Adapters: train and export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyechart.core import training_state
from eyechart.core.built_in import BUILT_IN_VLM
from eyechart.core.errors import InputError
from eyechart.core.plugins import near, split_specs

if TYPE_CHECKING:
    from eyechart.adapters.package import AdapterConfig
    from eyechart.adapters.train_adapter import Observer


def train_adapter(
    images: str | Path,
    *,
    out: str | Path,
    vlm: str = BUILT_IN_VLM,
    codecs: str | Sequence[str] | None = None,
    injection: str = "adaln",
    steps: int = 600,
    conditioning: str = "labelled",
    aliases: Mapping[str, str] | None = None,
    tasks: str | Sequence[str] = (),
    task_images: int = 40,
    cache: str | Path | None = None,
    codec_device: str = "auto",
    codec_batch: int | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> AdapterConfig:
    """Train an adapter by distillation (docs/adapter.md). Loads torch.

    The same call continues a training that was stopped.

    images: folder of uncompressed images; without `codecs`, of pairs: source/NAME and
        CODEC/LEVEL/NAME. out: a new folder for the adapter, or that of a stopped training.
    vlm, codecs, tasks: names, with options. injection: how codec and level enter the encoder.
    conditioning: how the adapter gets them: labelled, unknown or estimated (from the pixels).
    aliases: unseen codecs and the trained ones that they are treated as.
    tasks, task_images: tasks to ask at the end without and with the adapter, and images of each.
    cache: folder for compressed images; None: in `out`.
    codec_device, codec_batch: as for `run`; each process of the training uses one device.
    observer: receives the progress (`eyechart.adapters.train_adapter.Observer`).
    settings: other fields of `eyechart.adapters.recipe.Recipe`, such as `learning_rate`.

    Returns the adapter's configuration, with `results`.

    Raises:
        InputError: something named is not there, an image cannot be read, `out` holds something
            else; before any work.
        TrainingError: the loss is not a number.

    Examples:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Path("images").mkdir()
        >>> for angle in (0, 90, 180):
        ...     gradient = Image.linear_gradient("L").resize((56, 56))
        ...     gradient.rotate(angle).save(f"images/{angle}.png")
        >>> config = eyechart.train_adapter(
        ...     "images", out="adapter", codecs="jpeg:levels=[10]", steps=1, images_a_step=1,
        ...     validation_images=1,
        ... )
        >>> config.trained_codecs
        ('source', 'jpeg')
    """
    from eyechart.adapters.recipe import Recipe
    from eyechart.adapters.train_adapter import train_adapter as train

    known = {field.name for field in fields(Recipe)}
    if unknown := sorted(settings.keys() - known):
        raise InputError(f"unknown setting {unknown[0]!r}; {near(unknown[0], sorted(known))}")
    recipe = Recipe(injection=injection, steps=steps, conditioning=conditioning, **settings)
    return train(
        Path(images),
        Path(out),
        recipe,
        vlm=vlm,
        codecs=split_specs(codecs) if isinstance(codecs, str) else codecs,
        aliases=aliases,
        cache=None if cache is None else Path(cache),
        tasks=split_specs(tasks) if isinstance(tasks, str) else tasks,
        task_images=task_images,
        codec_device=codec_device,
        codec_batch=codec_batch,
        observer=observer,
    )


def export_adapter(
    adapter: str | Path,
    *,
    out: str | Path,
    codec: str | None = None,
    level: str = "",
    conditioning: str | None = None,
    vlm: str | None = None,
) -> str:
    """Fold one codec and level into ordinary weights that stock transformers and vLLM load.

    adapter: directory or name. out: a new folder. codec, level: the condition to fold; `unknown`
    as the codec for unknown images. conditioning: fold nothing; copy the adapter with this
    conditioning. vlm: the base VLM as a directory; None: the one that the adapter names.

    Returns the name of the base VLM.

    Raises:
        InputError: not exactly one of `codec` and `conditioning`; an unknown adapter or condition;
            an injection that cannot be folded; `out` is not empty.

    Examples:
        >>> eyechart.export_adapter("universal", out="unknown", conditioning="unknown")
        'eyechart-mini-s'
    """
    from eyechart.adapters.fold import export_adapter as export

    return export(
        str(adapter), Path(out), codec=codec, level=level, conditioning=conditioning, vlm=vlm
    )


def saved_step(out: str | Path) -> int:
    """Steps that the saved state of an adapter's training has done, 0 without one."""
    return training_state.saved_step(Path(out) / training_state.ADAPTER_STATE)

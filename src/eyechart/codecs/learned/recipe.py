"""One training from folders of photographs: network, images, loop, and a card at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from eyechart.codecs.learned.architecture import Architecture
from eyechart.codecs.learned.distortion import MS_SSIM_LEAST_PX, Distance
from eyechart.codecs.learned.neural import NetworkCodec
from eyechart.codecs.learned.objective import Objective, RateDistortion, compare_images
from eyechart.codecs.learned.parallel import process_group
from eyechart.codecs.learned.photos import Crops, read_pictures
from eyechart.codecs.learned.principal import LinearStart
from eyechart.codecs.learned.train import (
    LOG,
    STATE,
    WEIGHTS,
    CodecTraining,
    TrainConfig,
    TrainingProgress,
    TrainingStage,
    run,
    to_tensor,
    trained_with,
)
from eyechart.codecs.learned.weights import fill, load_weights, read_weights
from eyechart.core import plugins
from eyechart.core.errors import CodecError, InputError, one_line
from eyechart.core.files import require_continuable
from eyechart.core.images import find_images
from eyechart.core.types import Rgb8
from eyechart.store.files import store_errors, write_atomic

_CROP_MULTIPLE = 64
_SYNTHESIS = "g_s."
_NO_GRADIENT = "entropy_bottleneck.quantiles"  # they follow from the other weights
_SECOND_SHARE = 0.25  # of the first folder's crops: a fifth of all
_START_CROPS = 128  # to learn the first weights from


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of training images and its share of the crops."""

    path: Path
    share: float = 1.0


def training_folders(photos: Path, also: Path | None = None) -> list[Folder]:
    """The folder of photographs, and a second one that a fifth of the crops are from."""
    second = [] if also is None else [Folder(path=also, share=_SECOND_SHARE)]
    return [Folder(path=photos), *second]


def train_codec(
    architecture: Architecture,
    folders: Sequence[Folder],
    config: TrainConfig,
    out: Path,
    *,
    init: Path | None,
    held_out: int,
    devices: Sequence[str],
    report: Callable[[TrainingProgress], None],
    features: Distance | None = None,
) -> None:
    """Train one level into `out`, or continue what stopped there.

    init: weights to start from, with y scaled for the new lambda if theirs is known; None: the
    network's own start. held_out: images of each folder (the first by path) that are used to
    measure and not to train. features: for the distortion `features`, the distance of images for a
    VLM; then only the parts that adapt `init` to a task are trained, on one device. devices: each
    gets a process; as many as `config.processes`.
    Raises:
        InputError: a folder without usable images, wrong settings, `init` is not this network's, or
            `out` is neither new nor the folder of this training.
    """
    require_continuable(out, (STATE, LOG))
    _check(config, _multiple(architecture), held_out, init)
    training, images = _training(
        architecture, folders, config, out, init, held_out, devices[0], features=features
    )
    with store_errors(out, "be made"):
        out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    measured = {one.folder.name: one.held_out for one in images if one.held_out}
    with _others(architecture, folders, config, out, init, held_out, devices):
        run(training, out, measured, report)
    hours = (time.monotonic() - started) / 3600
    results = {name: training.validate(pictures) for name, pictures in measured.items()}
    counts = {str(one.folder): one.counts for one in images}
    text = _card(architecture.name, config, counts, results, hours, ",".join(devices))
    write_atomic(out / "README.md", text.encode())


def _others(
    architecture: Architecture,
    folders: Sequence[Folder],
    config: TrainConfig,
    out: Path,
    init: Path | None,
    held_out: int,
    devices: Sequence[str],
) -> AbstractContextManager[None]:
    """The other processes of a training on several devices."""
    if len(devices) == 1:
        return nullcontext()
    return process_group(
        devices, _train_share, architecture.name, folders, config, out, init, held_out
    )


def _train_share(
    codec: str,
    folders: Sequence[Folder],
    config: TrainConfig,
    out: Path,
    init: Path | None,
    held_out: int,
    device: str,
    process: int,
) -> None:
    """What the other processes of a training do."""
    found: NetworkCodec = plugins.load("eyechart.codecs", codec)
    training, _ = _training(
        found.architecture, folders, config, out, init, held_out, device, process=process
    )
    run(training, out, {}, lambda progress: None)


def _training(
    architecture: Architecture,
    folders: Sequence[Folder],
    config: TrainConfig,
    out: Path,
    init: Path | None,
    held_out: int,
    device: str,
    *,
    features: Distance | None = None,
    process: int = 0,
) -> tuple[CodecTraining, list[_FolderImages]]:
    """A training at the step that is stored in `out`, if there is one, and its images."""
    multiple = _multiple(architecture)
    images = [_read(folder, config.crop_px, held_out, multiple) for folder in folders]
    crops = Crops(
        [one.train for one in images], [folder.share for folder in folders], config.crop_px
    )
    stage = architecture.stages[config.stage] if config.stage else None
    compare = stage.open(config.base, torch.device(device)) if stage else compare_images
    network = _network(architecture, stage, crops, config, init, device)
    training = CodecTraining(
        network,
        crops,
        config,
        objective=_objective(architecture, stage, network, config, features),
        compare=compare,
        process=process,
    )
    if (out / STATE).exists():
        training.resume(out)
    return training, images


def _objective(
    architecture: Architecture,
    stage: TrainingStage | None,
    network: torch.nn.Module,
    config: TrainConfig,
    features: Distance | None,
) -> Objective | None:
    """What is minimised, where that is not a distance of the pixels."""
    if features is not None:
        return RateDistortion(lmbda=config.lmbda, distance=features)
    make = stage.objective if stage else architecture.objective
    return None if make is None else make(network, config)


def _multiple(architecture: Architecture) -> int:
    return max(_CROP_MULTIPLE, architecture.multiple)


def _check(config: TrainConfig, multiple: int, held_out: int, init: Path | None) -> None:
    if config.freeze_encoder and init is None:
        raise InputError("a frozen encoder; allowed with weights to start from alone")
    if held_out < 0:
        raise InputError(f"held_out {held_out}; allowed are 0 or more images")
    if config.crop_px % multiple or config.crop_px < multiple:
        raise InputError(f"crop of {config.crop_px} pixels; allowed are multiples of {multiple}")
    if config.distortion == "ms-ssim" and config.crop_px < MS_SSIM_LEAST_PX:
        raise InputError(f"crop of {config.crop_px} pixels; MS-SSIM needs {MS_SSIM_LEAST_PX}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _FolderImages:
    """The images of a folder: for training, and held out; counts: the same in words."""

    folder: Path
    train: list[Rgb8]
    held_out: list[Rgb8]
    counts: str


def _read(folder: Folder, crop_px: int, held_out: int, multiple: int) -> _FolderImages:
    files, others = find_images(folder.path)
    kept, unreadable = read_pictures(files[held_out:], crop_px)
    measured, unreadable_too = read_pictures(files[:held_out], crop_px, smaller=False)
    unreadable += unreadable_too
    if not kept:
        raise InputError(
            f"{folder.path}: {len(files)} image files; needed are more than the {held_out} "
            f"held out, of at least {crop_px}x{crop_px} pixels"
            + (f"; {len(unreadable)} cannot be read: {unreadable[0]}" if unreadable else "")
        )
    counts = f"{len(kept)} images, at full size or two thirds of it, of {len(files)} image files"
    if held_out:
        counts += f", {min(held_out, len(files))} of them held out"
    if others:
        counts += f", {len(others)} other files left out"
    if unreadable:
        counts += f", {len(unreadable)} unreadable ones left out ({one_line(unreadable[0])})"
    return _FolderImages(
        folder=folder.path,
        train=kept,
        held_out=[_whole_multiples(image, multiple) for image in measured],
        counts=counts,
    )


def _whole_multiples(image: Rgb8, multiple: int) -> Rgb8:
    """The upper left part of an image whose sides are multiples of `multiple` pixels."""
    height, width = (side // multiple * multiple for side in image.shape[:2])
    return image[:height, :width]


def _network(
    architecture: Architecture,
    stage: TrainingStage | None,
    crops: Crops,
    config: TrainConfig,
    init: Path | None,
    device: str,
) -> torch.nn.Module:
    torch.manual_seed(config.seed)
    file = init / WEIGHTS if init is not None and init.is_dir() else init
    if config.distortion == "features":
        network = _for_machines(architecture, file)
        return network.to(torch.device(device))
    if stage is not None:
        return _placed(_start_stage(architecture, stage, crops, config, file), device)
    network = architecture.build()
    if file is not None:
        with _given():
            load_weights(network, file, codec=architecture.name)
        before = trained_with(file)
        if config.freeze_encoder:
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(name.startswith(_SYNTHESIS))
        elif before and isinstance(network, LinearStart):
            network.scale_latent((config.lmbda / before.lmbda) ** 0.5)
    elif isinstance(network, LinearStart):
        rng = np.random.default_rng(config.seed)
        network.start(to_tensor(crops.draw(rng, _START_CROPS)), config.lmbda)
    return _placed(network, device)


@contextmanager
def _given() -> Iterator[None]:
    """Weights that do not load are bad input here: the user named the file."""
    try:
        yield
    except CodecError as error:
        raise InputError(str(error)) from error


def _placed(network: torch.nn.Module, device: str) -> torch.nn.Module:
    placed = network.to(torch.device(device))
    return placed.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def _start_stage(
    architecture: Architecture,
    stage: TrainingStage,
    crops: Crops,
    config: TrainConfig,
    file: Path | None,
) -> torch.nn.Module:
    """The network as a stage starts with it. Only what the stage trains requires gradients."""
    before = None
    if file is None:
        network = architecture.build()
    else:
        with _given():
            tensors = read_weights(file, codec=architecture.name)
            network = architecture.network_of(tensors)
            fill(network, tensors, file, codec=architecture.name)
        before = trained_with(file)
        if before is None:
            raise InputError(f"{file}: holds no settings of a training; allowed are results of one")
    rng = np.random.default_rng(config.seed)
    stage.start(network, to_tensor(crops.draw(rng, _START_CROPS)), config, before)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(stage.parts) and not name.endswith(_NO_GRADIENT))
    return network


def _for_machines(architecture: Architecture, file: Path | None) -> torch.nn.Module:
    if architecture.for_machines is None:
        raise InputError(f"{architecture.name}: has nothing that adapts it to a VLM")
    if file is None:
        raise InputError(f"{architecture.name}: needs the weights of its base codec to start from")
    with _given():
        tensors = read_weights(file, codec=architecture.name)
    return architecture.for_machines(tensors)


def _card(
    codec: str,
    config: TrainConfig,
    counts: dict[str, str],
    results: dict[str, tuple[float, float]],
    hours: float,
    device: str,
) -> str:
    of_vlm = f" of {config.vlm}" if config.vlm else ""
    target = f", target {config.target_bpp:g} bpp" if config.target_bpp else ""
    stage = f", stage {config.stage}" if config.stage else ""
    stage += ", adversarial" if config.adversarial else ""
    frozen = ", encoder frozen" if config.freeze_encoder else ""
    lines = [
        f"# {codec}{target}, lambda {config.lmbda:g}",
        "",
        "- data: " + "; ".join(f"{name} ({count})" for name, count in counts.items()),
        f"- {config.steps:,} steps of {config.batch} crops of {config.crop_px}x{config.crop_px}, "
        f"distortion {config.distortion}{of_vlm}{stage}{frozen}, learning rate {config.lr:g}, "
        f"seed {config.seed}",
        f"- cost: {hours:.2f} hours on {device} since it was last started",
    ]
    lines += [
        f"- held out from {name}: {bpp:.4f} bpp by the likelihoods, PSNR {psnr_db:.2f} dB"
        for name, (bpp, psnr_db) in results.items()
    ]
    return "\n".join(lines) + "\n"

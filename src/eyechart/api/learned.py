"""Learned codecs: train a level, add a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eyechart.core import training_state
from eyechart.core.errors import InputError

if TYPE_CHECKING:
    from eyechart.codecs.add import AddedLevel
    from eyechart.codecs.learned.architecture import Architecture
    from eyechart.codecs.learned.distortion import Distance, Distortion
    from eyechart.codecs.learned.train import TrainConfig, TrainingProgress, TrainingStage

_NOT_STAGED = "a VLM, a distortion, a target bpp, an adversarial stage and a frozen encoder"


def train_codec(
    codec: str,
    photos: str | Path,
    *,
    lmbda: float | None = None,
    target_bpp: float | None = None,
    out: str | Path,
    init: str | Path | None = None,
    distortion: str = "mse",
    vlm: str | None = None,
    adversarial: bool = False,
    freeze_encoder: bool = False,
    stage: str | None = None,
    base: str | Path | None = None,
    clip: str | Path | None = None,
    dino: str | Path | None = None,
    also: str | Path | None = None,
    steps: int = 10_000,
    batch: int = 8,
    crop_px: int = 128,
    learning_rate: float = 5e-4,
    muon: bool = True,
    precision: str = "float32",
    held_out: int = 8,
    device: str = "cpu",
    seed: int = 0,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
) -> Path:
    """Train one level of a learned codec on a folder of photographs; -> its weights. Loads torch.

    The same call continues a training that was stopped (docs/learned-codecs.md).

    lmbda: weight of the distortion, above 0 and below 1000. target_bpp: for GAN codecs, the rate to
    aim at; lmbda then is optional (docs/generative-codecs.md). out: a new folder, or that of a
    stopped training. init: weights to start from, a file or the folder of another training.
    distortion: mse or ms-ssim. vlm: train prompts for this VLM's features instead; `init` is the
    frozen base. adversarial: a GAN codec's second stage, with a discriminator. freeze_encoder: only
    its synthesis is trained. stage: of a diffusion codec's training, which has several. base: the
    base model of a diffusion codec, a folder or a hub id. clip, dino: the models whose features
    StableCodec's training compares, also folders or hub ids; default: those of its authors. also: a
    second folder; a fifth of the crops are from it. batch: crops a step. crop_px: side of a crop.
    muon: the optimizer of kernels, Adam if False. precision: float32, or bfloat16 for the networks'
    products. held_out: images of each folder to measure on. device: several, as "cuda:0,cuda:1"
    or "all", share the crops of a step. report: called every 100 steps.

    Raises:
        InputError: a codec that cannot be trained, a value that is not allowed, a folder without
            usable images, another training in `out`; before any work.
        TrainingError: the gradient is not finite.

    Examples:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Path("photos").mkdir(exist_ok=True)
        >>> for angle in (0, 90):
        ...     Image.linear_gradient("L").rotate(angle).save(f"photos/{angle}.png")
        >>> eyechart.train_codec(
        ...     "tic-mini", "photos", lmbda=0.01, out="level", steps=1, batch=1, crop_px=64,
        ...     held_out=1,
        ... ).name
        'weights.safetensors'
    """
    from eyechart.codecs.generative.diffusion.plugins import ARCHITECTURES as DIFFUSION
    from eyechart.codecs.generative.plugins import ARCHITECTURES as GAN
    from eyechart.codecs.learned.plugins import ARCHITECTURES as LEARNED
    from eyechart.codecs.learned.recipe import train_codec as train
    from eyechart.codecs.learned.recipe import training_folders
    from eyechart.codecs.learned.train import WEIGHTS, TrainConfig
    from eyechart.vlms.devices import training_devices

    architectures = {**LEARNED, **GAN, **DIFFUSION}
    if codec not in architectures:
        allowed = ", ".join(architectures)
        raise InputError(f"codec {codec!r} cannot be trained; allowed are {allowed}")
    architecture = architectures[codec]
    kind = _stage(architecture, stage, base)
    _check_features(codec, kind, clip=clip, dino=dino)
    more = adversarial or freeze_encoder
    if kind is None:
        gan = architecture.objective is not None
        _check_gan_options(codec, gan, target_bpp, more, vlm, distortion)
        loss: Distortion = "perceptual" if gan else _distortion(distortion)
    else:
        if more or target_bpp is not None or vlm is not None or distortion != "mse":
            raise InputError(f"{codec}: is trained in stages; {_NOT_STAGED} are not allowed")
        loss = kind.distortion
    devices = training_devices(device)
    if vlm is not None and len(devices) > 1:
        raise InputError(f"device {device!r}; allowed with a VLM is one device")
    config = TrainConfig(
        lmbda=_lambda(codec, lmbda, target_bpp),
        steps=steps,
        batch=batch,
        crop_px=crop_px,
        lr=learning_rate,
        muon=muon,
        seed=seed,
        distortion=loss,
        processes=len(devices),
        target_bpp=target_bpp or 0.0,
        adversarial=adversarial,
        freeze_encoder=freeze_encoder,
        stage=stage or "",
        base="" if base is None else str(base),
        clip_model="" if clip is None else str(clip),
        dino_model="" if dino is None else str(dino),
        precision=precision,
    )
    config, features = (config, None) if vlm is None else _for_vlm(vlm, config, devices[0])
    train(
        architecture,
        training_folders(Path(photos), None if also is None else Path(also)),
        config,
        Path(out),
        init=None if init is None else Path(init),
        held_out=held_out,
        devices=devices,
        report=report,
        features=features,
    )
    return Path(out) / WEIGHTS


def _stage(
    architecture: Architecture, stage: str | None, base: str | Path | None
) -> TrainingStage | None:
    """The stage of a codec that is trained in stages, None for other codecs."""
    codec, stages = architecture.name, architecture.stages
    if not stages:
        if stage is not None or base is not None:
            raise InputError(
                f"{codec}: is no diffusion codec; a stage or a base model are for those alone"
            )
        return None
    if stage is None or stage not in stages:
        given = "none" if stage is None else repr(stage)
        raise InputError(f"{codec}: stage {given}; allowed are {', '.join(stages)}")
    return stages[stage]


def _check_features(codec: str, stage: TrainingStage | None, **places: str | Path | None) -> None:
    """Refuse models whose features are not compared."""
    used = () if stage is None else stage.features
    for name, place in places.items():
        if place is not None and name not in used:
            allowed = ", ".join(used) or "none"
            raise InputError(f"{codec}: {name} {str(place)!r}; allowed here are {allowed}")


def _check_gan_options(
    codec: str, gan: bool, target_bpp: float | None, stage: bool, vlm: str | None, distortion: str
) -> None:
    """Refuse options of GAN training for other codecs, and the other way round."""
    if gan:
        if target_bpp is None or not target_bpp > 0:
            given = "none" if target_bpp is None else f"{target_bpp:g}"
            raise InputError(f"{codec}: target bpp {given}; allowed are numbers above 0")
        if vlm is not None or distortion != "mse":
            raise InputError(f"{codec}: is trained as a GAN; allowed are no VLM and no distortion")
    elif target_bpp is not None or stage:
        options = "a target bpp, an adversarial stage or a frozen encoder"
        raise InputError(f"{codec}: is no GAN codec; {options} are allowed for those alone")


def _lambda(codec: str, lmbda: float | None, target_bpp: float | None) -> float:
    if lmbda is not None:
        return lmbda
    if target_bpp is None:
        raise InputError(f"{codec}: lambda none; allowed are numbers above 0")
    from eyechart.codecs.generative.gan import default_lambda

    return default_lambda(target_bpp)


def _distortion(name: str) -> Distortion:
    from eyechart.codecs.learned.distortion import DISTORTIONS

    for known in DISTORTIONS:
        if known == name:
            return known
    raise InputError(f"distortion {name!r}; allowed are {', '.join(DISTORTIONS)}")


def _for_vlm(vlm: str, config: TrainConfig, device: str) -> tuple[TrainConfig, Distance]:
    """The settings with the distance of a VLM's features as the distortion, and that distance."""
    from eyechart.adapters.vision_features import VisionFeatures

    features = VisionFeatures(vlm, config.crop_px, device)
    named = f"{features.name} {features.version}"
    return replace(config, distortion="features", vlm=named), features.distance


def saved_step(out: str | Path) -> int:
    """Steps that the saved state of a codec's training has done, 0 without one."""
    return training_state.saved_step(Path(out) / training_state.CODEC_STATE)


def set_threads(threads: int) -> None:
    """CPU threads of torch in this process."""
    import torch

    torch.set_num_threads(threads)


def add_checkpoint(
    codec: str,
    file: str | Path,
    level: str,
    *,
    into: str | Path | None = None,
    auxiliary: str | Path | None = None,
) -> AddedLevel:
    """Check a checkpoint, convert it to safetensors and add it to the levels of a codec.

    file: published by the authors (`.pth.tar`, `.pt`, `.ckpt`) or trained with `train_codec`; a
    path or a URL (`s3://bucket/file`), as auxiliary. level: what it was trained with, as text, a
    lambda or (GAN codecs) a rate in bits per pixel; it names the level. into: a weights folder, for
    `CODEC:weights=DIR`; None: the user's. auxiliary: the checkpoint of StableCodec's auxiliary
    encoder.

    Returns `path`, `sha256` and the `variant` of the architecture.

    Raises:
        InputError: a codec that takes no checkpoints, a level that is no number above 0, a file
            that is no checkpoint of this codec.
        StoreError: the folder cannot be written.

    Examples:
        >>> from pathlib import Path
        >>> weights = Path(eyechart.__file__).parent / "zoo/codecs/elic-mini/1.safetensors"
        >>> added = eyechart.add_checkpoint("elic-mini", weights, "0.01", into="mine")
        >>> [level.name for level in eyechart.open_codec("elic-mini", weights="mine").levels]
        ['0.01']
    """
    from eyechart.codecs.add import add_checkpoint as add

    folder = None if into is None else Path(into)
    return add(codec, file, level, folder, auxiliary)

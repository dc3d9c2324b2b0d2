"""`eyechart codec train`: train one level of a learned codec on folders of photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyechart.cli.bars import image_bar
from eyechart.cli.console import stopped
from eyechart.core.errors import InputError

if TYPE_CHECKING:
    from eyechart.codecs.learned.train import TrainingProgress


def _option(name: str, metavar: str, help_: str, **more: Any) -> Any:
    return typer.Option(name, metavar=metavar, help=help_, **more)


LearnedCodecArgument = Annotated[
    str, typer.Argument(metavar="CODEC", help="Name of a learned codec, as elic-mini")
]
Photos = Annotated[
    Path, typer.Argument(metavar="PHOTOS", help="Folder of photographs, and its subfolders")
]
Lambda = Annotated[float, _option("--lambda", "L", "Weight of the distortion; more is more bits")]
Out = Annotated[Path, _option("--out", "DIR", "New folder, or that of a stopped training")]
Init = Annotated[
    Path | None,
    _option("--init", "FILE", "Weights to start from: a file, or the folder of another training"),
]
Loss = Annotated[str, _option("--distortion", "WHAT", "mse or ms-ssim, which needs --crop 192")]
VlmOption = Annotated[
    str | None,
    _option("--vlm", "VLM", "Train prompts for this VLM's features; --init is the frozen base"),
]
Also = Annotated[
    Path | None, _option("--also", "DIR", "A second folder; a fifth of the crops are from it")
]
Steps = Annotated[int, _option("--steps", "N", "Optimizer steps", min=1)]
BatchSize = Annotated[int, _option("--batch", "N", "Crops a step", min=1)]
Crop = Annotated[int, _option("--crop", "PX", "Side of a crop, a multiple of 64", min=64)]
LearningRate = Annotated[float, _option("--learning-rate", "RATE", "The highest, after warming up")]
Adam = Annotated[bool, typer.Option("--adam", help="Adam for kernels too, in place of Muon")]
HeldOut = Annotated[int, _option("--held-out", "N", "Images a folder to measure on", min=0)]
Device = Annotated[str, _option("--device", "DEVICE", "cpu, cuda, cuda:1")]
Threads = Annotated[int | None, _option("--threads", "N", "CPU threads; default: all", min=1)]
Seed = Annotated[int, _option("--seed", "N", "Of the crops and the noise", min=0)]

ALSO_SHARE = 0.25  # of the first folder's: a fifth of all crops


def train(
    codec: LearnedCodecArgument,
    photos: Photos,
    lmbda: Lambda,
    out: Out,
    init: Init = None,
    distortion: Loss = "mse",
    vlm: VlmOption = None,
    also: Also = None,
    steps: Steps = 10_000,
    batch: BatchSize = 8,
    crop: Crop = 128,
    learning_rate: LearningRate = 5e-4,
    adam: Adam = False,
    held_out: HeldOut = 8,
    device: Device = "cpu",
    threads: Threads = None,
    seed: Seed = 0,
) -> None:
    """Train one level of a learned codec. The same command continues a stopped training."""
    import torch

    from eyechart.codecs.learned.distortion import DISTORTIONS
    from eyechart.codecs.learned.plugins import ARCHITECTURES
    from eyechart.codecs.learned.recipe import Folder, train_codec
    from eyechart.codecs.learned.train import WEIGHTS, TrainConfig, saved_step

    if codec not in ARCHITECTURES:
        allowed = ", ".join(ARCHITECTURES)
        raise InputError(f"codec {codec!r} cannot be trained; allowed are {allowed}")
    if not 0 < lmbda < 1000:
        raise InputError(f"--lambda {lmbda:g}; allowed are numbers above 0 and below 1000")
    if distortion not in DISTORTIONS:
        raise InputError(f"--distortion {distortion!r}; allowed are {', '.join(DISTORTIONS)}")
    if threads is not None:
        torch.set_num_threads(threads)
    features = None
    if vlm is not None:
        from eyechart.adapters.vision_features import VisionFeatures

        features = VisionFeatures(vlm, crop, device)
    config = TrainConfig(
        lmbda=lmbda,
        steps=steps,
        batch=batch,
        crop_px=crop,
        lr=learning_rate,
        muon=not adam,
        seed=seed,
        distortion="features" if features else "mse" if distortion == "mse" else "ms-ssim",
        vlm=f"{features.name} {features.version}" if features else "",
    )
    folders = [Folder(path=photos)]
    if also is not None:
        folders.append(Folder(path=also, share=ALSO_SHARE))
    try:
        with image_bar() as bar:
            bar.show(f"{codec} lambda {lmbda:g}", 0, steps)

            def report(progress: TrainingProgress) -> None:
                rate = f"{progress.bpp:.3f} bpp {progress.psnr_db:.2f} dB"
                bar.show(rate, progress.step, steps)

            train_codec(
                ARCHITECTURES[codec],
                folders,
                config,
                out,
                init=init,
                held_out=held_out,
                device=device,
                report=report,
                features=features.distance if features else None,
            )
    except KeyboardInterrupt:
        step = saved_step(out)
        stopped(f"the state after step {step} is kept in {out}" if step else "no step is saved yet")
    print(f"{out / WEIGHTS}: trained to step {steps:,}, see {out / 'README.md'}")

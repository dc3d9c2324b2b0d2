"""`eyechart codec train`: train one level of a learned codec on folders of photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.bars import image_bar
from eyechart.cli.console import training
from eyechart.cli.options import MOST_SEED, option

if TYPE_CHECKING:
    from eyechart.api.results import TrainingProgress


LearnedCodecArgument = Annotated[
    str, typer.Argument(metavar="CODEC", help="Name of a learned codec, as elic-mini.")
]
Photos = Annotated[
    Path, typer.Argument(metavar="PHOTOS", help="Folder of photographs, and its subfolders.")
]
Lambda = Annotated[
    float | None,
    option("--lambda", metavar="L", help_="Weight of the distortion; more is more bits"),
]
TargetBpp = Annotated[
    float | None,
    option(
        "--target-bpp",
        metavar="BPP",
        help_="GAN codecs: the rate to aim at; --lambda is then optional",
    ),
]
Adversarial = Annotated[
    bool, typer.Option("--adversarial", help="GAN codecs: the second stage, with a discriminator")
]
FreezeEncoder = Annotated[
    bool,
    typer.Option("--freeze-encoder", help="GAN codecs: train only the synthesis; needs --init"),
]
StageOption = Annotated[
    str | None,
    option(
        "--stage",
        metavar="STAGE",
        help_="Diffusion codecs: vae, latent, diffusion or finetune, each from the one before",
    ),
]
BaseOption = Annotated[
    str | None,
    option(
        "--base", metavar="MODEL", help_="Diffusion codecs: the base model, a folder or a hub id"
    ),
]
ClipOption = Annotated[
    str | None,
    option("--clip", metavar="MODEL", help_="StableCodec: the CLIP of its loss, as --base"),
]
DinoOption = Annotated[
    str | None,
    option(
        "--dino", metavar="MODEL", help_="StableCodec: the DINOv2 of its discriminator, as --base"
    ),
]
Out = Annotated[
    Path, option("--out", metavar="DIR", help_="New folder, or that of a stopped training")
]
Init = Annotated[
    Path | None,
    option(
        "--init",
        metavar="FILE",
        help_="Weights to start from: a file, or the folder of another training",
    ),
]
Loss = Annotated[
    str, option("--distortion", metavar="WHAT", help_="mse or ms-ssim, which needs --crop 192")
]
VlmOption = Annotated[
    str | None,
    option(
        "--vlm",
        metavar="VLM",
        help_="Train prompts for this VLM's features; --init is the frozen base",
    ),
]
Also = Annotated[
    Path | None,
    option("--also", metavar="DIR", help_="A second folder; a fifth of the crops are from it"),
]
Steps = Annotated[int, option("--steps", metavar="N", help_="Optimizer steps", min=1)]
BatchSize = Annotated[int, option("--batch", metavar="N", help_="Crops a step", min=1)]
Crop = Annotated[
    int, option("--crop", metavar="PX", help_="Side of a crop, a multiple of 64", min=64)
]
LearningRate = Annotated[
    float, option("--learning-rate", metavar="RATE", help_="The highest, after warming up")
]
Adam = Annotated[bool, typer.Option("--adam", help="Adam for kernels too, in place of Muon")]
PrecisionOption = Annotated[
    str,
    option(
        "--precision",
        metavar="NAME",
        help_="float32, or bfloat16: faster where the processor has instructions for it",
    ),
]
HeldOut = Annotated[
    int, option("--held-out", metavar="N", help_="Images a folder to measure on", min=0)
]
Device = Annotated[
    str,
    option("--device", metavar="DEVICE", help_="cpu, auto, cuda:1; several: all, or cuda:0,cuda:1"),
]
Threads = Annotated[
    int | None, option("--threads", metavar="N", help_="CPU threads; default: all", min=1, max=1024)
]
Seed = Annotated[
    int, option("--seed", metavar="N", help_="Of the crops and the noise", min=0, max=MOST_SEED)
]


def train(
    codec: LearnedCodecArgument,
    photos: Photos,
    out: Out,
    lmbda: Lambda = None,
    target_bpp: TargetBpp = None,
    init: Init = None,
    distortion: Loss = "mse",
    vlm: VlmOption = None,
    adversarial: Adversarial = False,
    freeze_encoder: FreezeEncoder = False,
    stage: StageOption = None,
    base: BaseOption = None,
    clip: ClipOption = None,
    dino: DinoOption = None,
    also: Also = None,
    steps: Steps = 10_000,
    batch: BatchSize = 8,
    crop: Crop = 128,
    learning_rate: LearningRate = 5e-4,
    adam: Adam = False,
    precision: PrecisionOption = "float32",
    held_out: HeldOut = 8,
    device: Device = "cpu",
    threads: Threads = None,
    seed: Seed = 0,
) -> None:
    """Train one level of a learned codec. The same command continues a stopped training."""
    from eyechart import api
    from eyechart.api.learned import saved_step, set_threads

    if threads is not None:
        set_threads(threads)
    with training(lambda: saved_step(out), out), image_bar() as bar:
        bar.show(codec if lmbda is None else f"{codec} lambda {lmbda:g}", 0, steps)

        def report(progress: TrainingProgress) -> None:
            rate = f"{progress.bpp:.3f} bpp {progress.psnr_db:.2f} dB"
            bar.show(rate, progress.step, progress.steps)

        weights = api.train_codec(
            codec,
            photos,
            lmbda=lmbda,
            target_bpp=target_bpp,
            out=out,
            init=init,
            distortion=distortion,
            vlm=vlm,
            adversarial=adversarial,
            freeze_encoder=freeze_encoder,
            stage=stage,
            base=base,
            clip=clip,
            dino=dino,
            also=also,
            steps=steps,
            batch=batch,
            crop_px=crop,
            learning_rate=learning_rate,
            muon=not adam,
            precision=precision,
            held_out=held_out,
            device=device,
            seed=seed,
            report=report,
        )
    print(f"{weights}: trained to step {steps:,}, see {out / 'README.md'}")

"""`eyechart adapter`: train an adapter on a folder of images, list adapters, export one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eyechart.cli.console import training
from eyechart.cli.options import MOST_SEED, option
from eyechart.cli.run import CodecBatch, CodecDevice
from eyechart.core.built_in import BUILT_IN_VLM
from eyechart.core.errors import InputError

app = typer.Typer(help="Adapters: train, list, export.", no_args_is_help=True)


def _conditioning(help_: str) -> Any:
    return typer.Option("--conditioning", "--tell", metavar="HOW", help=help_)


Images = Annotated[
    Path,
    typer.Argument(metavar="IMAGES", help="Folder of uncompressed images and its subfolders."),
]
Out = Annotated[
    Path, option("--out", metavar="DIR", help_="A new folder, or that of a stopped training")
]
VlmOption = Annotated[
    str, option("--vlm", metavar="VLM", help_="Name of `vlm list`, hub id, directory or its URL")
]
Codecs = Annotated[
    str | None,
    option(
        "--codecs", metavar="A,B", help_="As NAME or NAME:key=value. Without it, IMAGES holds pairs"
    ),
]
InjectionOption = Annotated[
    str,
    option(
        "--injection",
        metavar="NAME",
        help_="How the codec and level enter the encoder: none, rope_angle, rope_cos_sin, "
        "patch_embedding, adaln or a plug-in's name",
    ),
]
Steps = Annotated[int, option("--steps", metavar="N", help_="Optimizer steps", min=1)]
ImagesAStep = Annotated[
    int, option("--images-a-step", metavar="N", help_="Uncompressed images per step", min=1)
]
Levels = Annotated[
    int | None,
    option("--levels", metavar="N", help_="Levels of each image in a step; default: all", min=1),
]
LearningRate = Annotated[
    float, option("--learning-rate", metavar="RATE", help_="Of the encoder, after the warm-up")
]
ErrorOption = Annotated[
    str,
    option(
        "--error",
        metavar="NAME",
        help_="Of the features: squared (the paper's), or log, with which all rates count alike",
    ),
]
TrainableOption = Annotated[
    str, option("--trainable", metavar="WHAT", help_="encoder (all weights) or lora")
]
ConditioningOption = Annotated[
    str,
    _conditioning("How it gets codec and level: labelled, unknown or estimated (from pixels)"),
]
Alias = Annotated[
    str,
    typer.Option(
        "--condition-alias",
        "--pretend",
        metavar="A=B,...",
        help="Treat unseen codecs as known ones: hm=jpeg,avif=vvc",
    ),
]
Validation = Annotated[
    int,
    option("--validation-images", metavar="N", help_="Images held out to measure errors on", min=1),
]
MicroPairs = Annotated[
    int | None,
    option(
        "--micro-pairs",
        metavar="N",
        help_="Pairs per forward pass, to save memory; default: all",
        min=1,
    ),
]
Checkpointing = Annotated[
    bool, typer.Option("--gradient-checkpointing", help="Use less memory and more time")
]
Float32 = Annotated[bool, typer.Option("--float32", help="Activations in float32, not bfloat16")]
Seed = Annotated[
    int, option("--seed", metavar="N", help_="Seed of the order of images", min=0, max=MOST_SEED)
]
Cache = Annotated[
    Path | None,
    option(
        "--cache",
        metavar="DIR",
        help_="Folder for compressed images, can be shared; default: DIR/cache",
    ),
]
Tasks = Annotated[
    str,
    option(
        "--tasks",
        metavar="A,B",
        help_="Tasks to ask at the end, without and with it: POPE,SEEDBench",
    ),
]
TaskImages = Annotated[
    int, option("--task-images", metavar="N", help_="Images of each of --tasks", min=1)
]


@app.command("train")
def train_adapter(
    images: Images,
    out: Out,
    vlm: VlmOption = BUILT_IN_VLM,
    codecs: Codecs = None,
    injection: InjectionOption = "adaln",
    steps: Steps = 600,
    images_a_step: ImagesAStep = 4,
    levels: Levels = None,
    learning_rate: LearningRate = 3e-4,
    error: ErrorOption = "squared",
    trainable: TrainableOption = "encoder",
    conditioning: ConditioningOption = "labelled",
    alias: Alias = "",
    validation_images: Validation = 32,
    micro_pairs: MicroPairs = None,
    checkpointing: Checkpointing = False,
    float32: Float32 = False,
    seed: Seed = 0,
    cache: Cache = None,
    codec_device: CodecDevice = "auto",
    codec_batch: CodecBatch = None,
    tasks: Tasks = "",
    task_images: TaskImages = 40,
) -> None:
    """Train an adapter by distillation. The same command continues a stopped training."""
    from eyechart import api
    from eyechart.api.adapters import saved_step
    from eyechart.cli.adapter_view import Bar, print_results

    with training(lambda: saved_step(out), out), Bar(steps) as bar:
        config = api.train_adapter(
            images,
            out=out,
            vlm=vlm,
            codecs=codecs,
            injection=injection,
            steps=steps,
            conditioning=conditioning,
            aliases=dict(_pair(text) for text in alias.split(",") if text),
            tasks=tasks,
            task_images=task_images,
            cache=cache,
            codec_device=codec_device,
            codec_batch=codec_batch,
            observer=bar,
            images_a_step=images_a_step,
            levels_an_image=levels,
            learning_rate=learning_rate,
            error=error,
            trainable=trainable,
            bf16=not float32,
            gradient_checkpointing=checkpointing,
            micro_pairs=micro_pairs,
            validation_images=validation_images,
            seed=seed,
        )
    print_results(config, out)


@app.command("list")
def list_adapters(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to search.")] = Path(),
) -> None:
    """List the adapters in a folder and those that ship with the package."""
    from eyechart.api.listing import list_adapters as listed
    from eyechart.cli.adapter_view import print_list

    print_list(listed(folder), folder)


@app.command("export")
def export_adapter(
    adapter: Annotated[
        str, typer.Argument(metavar="ADAPTER", help="Directory, or a name of `adapter list`.")
    ],
    out: Annotated[Path, option("--out", metavar="DIR", help_="A new folder")],
    codec: Annotated[
        str | None,
        option("--codec", metavar="NAME", help_="Codec to fold into the weights, or unknown"),
    ] = None,
    level: Annotated[
        str, option("--level", metavar="LEVEL", help_="Level to fold, as the adapter names it")
    ] = "",
    conditioning: Annotated[
        str | None,
        _conditioning("Fold nothing; copy the adapter with this conditioning"),
    ] = None,
    vlm: Annotated[
        str | None,
        option(
            "--vlm", metavar="VLM", help_="Its base VLM; default: the one that the adapter names"
        ),
    ] = None,
) -> None:
    """Fold one codec and level into ordinary weights that stock transformers and vLLM load."""
    from eyechart import api

    base = api.export_adapter(
        adapter, out=out, codec=codec, level=level, conditioning=conditioning, vlm=vlm
    )
    if conditioning is None:
        print(f"{out}: {base} for images of {codec} {level}".rstrip())
    else:
        print(f"{out}: {adapter}, conditioning {conditioning}")


def _pair(text: str) -> tuple[str, str]:
    unseen, equals, known = text.partition("=")
    if not (unseen and equals and known):
        raise InputError(f"--condition-alias {text!r} is not of the form UNSEEN=KNOWN")
    return unseen, known

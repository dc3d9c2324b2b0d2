"""`eyechart adapter`: train an adapter on a folder of images, list adapters, export one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from eyechart.cli.console import stopped
from eyechart.core.errors import InputError

app = typer.Typer(help="Adapters: train, list, export.", no_args_is_help=True)


def _conditioning(help_: str) -> Any:
    return typer.Option("--conditioning", "--tell", metavar="HOW", help=help_)


def _option(name: str, metavar: str, help_: str, **more: Any) -> Any:
    return typer.Option(name, metavar=metavar, help=help_, **more)


Images = Annotated[
    Path,
    typer.Argument(metavar="IMAGES", help="Folder of uncompressed images and its subfolders"),
]
Out = Annotated[Path, _option("--out", "DIR", "A new folder, or that of a stopped training")]
VlmOption = Annotated[str, _option("--vlm", "VLM", "Name of `vlm list`, hub id or directory")]
Codecs = Annotated[
    str | None,
    _option("--codecs", "A,B", "As NAME or NAME:key=value. Without it, IMAGES holds pairs"),
]
InjectionOption = Annotated[
    str,
    _option(
        "--injection",
        "NAME",
        "How the codec and level enter the encoder: none, rope_angle, rope_cos_sin, "
        "patch_embedding, adaln or a plug-in's name",
    ),
]
Steps = Annotated[int, _option("--steps", "N", "Optimizer steps", min=1)]
ImagesAStep = Annotated[int, _option("--images-a-step", "N", "Uncompressed images per step", min=1)]
Levels = Annotated[
    int | None,
    _option("--levels", "N", "Levels of each image in a step; default: all", min=1),
]
LearningRate = Annotated[
    float, _option("--learning-rate", "RATE", "Of the encoder, after the warm-up")
]
TrainableOption = Annotated[str, _option("--trainable", "WHAT", "encoder (all weights) or lora")]
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
    int, _option("--validation-images", "N", "Images held out to measure errors on", min=1)
]
MicroPairs = Annotated[
    int | None,
    _option("--micro-pairs", "N", "Pairs per forward pass, to save memory; default: all", min=1),
]
Checkpointing = Annotated[
    bool, typer.Option("--gradient-checkpointing", help="Use less memory and more time")
]
Float32 = Annotated[bool, typer.Option("--float32", help="Activations in float32, not bfloat16")]
Seed = Annotated[int, _option("--seed", "N", "Seed of the order of images", min=0)]
Cache = Annotated[
    Path | None,
    _option("--cache", "DIR", "Folder for compressed images, can be shared; default: DIR/cache"),
]
Tasks = Annotated[
    str,
    _option("--tasks", "A,B", "Tasks to ask at the end, without and with it: POPE,SEEDBench"),
]
TaskImages = Annotated[int, _option("--task-images", "N", "Images of each of --tasks", min=1)]


@app.command("train")
def train_adapter(
    images: Images,
    out: Out,
    vlm: VlmOption = "eyechart-mini",
    codecs: Codecs = None,
    injection: InjectionOption = "adaln",
    steps: Steps = 600,
    images_a_step: ImagesAStep = 4,
    levels: Levels = None,
    learning_rate: LearningRate = 3e-4,
    trainable: TrainableOption = "encoder",
    conditioning: ConditioningOption = "labelled",
    alias: Alias = "",
    validation_images: Validation = 32,
    micro_pairs: MicroPairs = None,
    checkpointing: Checkpointing = False,
    float32: Float32 = False,
    seed: Seed = 0,
    cache: Cache = None,
    tasks: Tasks = "",
    task_images: TaskImages = 40,
) -> None:
    """Train an adapter by distillation. The same command continues a stopped training."""
    from eyechart.adapters.recipe import Recipe
    from eyechart.adapters.train_adapter import train_adapter as train
    from eyechart.cli.adapter_view import Bar, print_results
    from eyechart.core.plugins import split_specs

    recipe = Recipe(
        injection=injection,
        steps=steps,
        images_a_step=images_a_step,
        levels_an_image=levels,
        learning_rate=learning_rate,
        trainable=trainable,
        bf16=not float32,
        gradient_checkpointing=checkpointing,
        micro_pairs=micro_pairs,
        validation_images=validation_images,
        seed=seed,
        conditioning=conditioning,
    )
    try:
        with Bar(steps) as bar:
            config = train(
                images,
                out,
                recipe,
                vlm=vlm,
                codecs=None if codecs is None else split_specs(codecs),
                aliases=dict(_pair(text) for text in alias.split(",") if text),
                cache=cache,
                tasks=split_specs(tasks),
                task_images=task_images,
                observer=bar,
            )
    except KeyboardInterrupt:
        _stopped(out)
    print_results(config, out)


@app.command("list")
def list_adapters(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to search")] = Path(),
) -> None:
    """List the adapters in a folder and those that ship with the package."""
    from eyechart.adapters.package import find_adapters
    from eyechart.cli.adapter_view import print_list

    print_list(find_adapters(folder), folder)


@app.command("export")
def export_adapter(
    adapter: Annotated[
        str, typer.Argument(metavar="ADAPTER", help="Directory, or a name of `adapter list`")
    ],
    out: Annotated[Path, _option("--out", "DIR", "A new folder")],
    codec: Annotated[
        str | None,
        _option("--codec", "NAME", "Codec to fold into the weights, or unknown"),
    ] = None,
    level: Annotated[
        str, _option("--level", "LEVEL", "Level to fold, as the adapter names it")
    ] = "",
    conditioning: Annotated[
        str | None,
        _conditioning("Fold nothing; copy the adapter with this conditioning"),
    ] = None,
    vlm: Annotated[
        str | None, _option("--vlm", "VLM", "Its base VLM; default: the one that the adapter names")
    ] = None,
) -> None:
    """Fold one codec and level into ordinary weights that stock transformers and vLLM load."""
    from eyechart.adapters.fold import export_adapter as export

    base = export(adapter, out, codec=codec, level=level, conditioning=conditioning, vlm=vlm)
    if conditioning is None:
        print(f"{out}: {base} for images of {codec} {level}".rstrip())
    else:
        print(f"{out}: {adapter}, conditioning {conditioning}")


def _stopped(out: Path) -> NoReturn:
    from eyechart.adapters.checkpoint import saved_step

    step = saved_step(out)
    stopped(f"the state after step {step} is kept in {out}" if step else "no step is saved yet")


def _pair(text: str) -> tuple[str, str]:
    unseen, equals, known = text.partition("=")
    if not (unseen and equals and known):
        raise InputError(f"--condition-alias {text!r} is not of the form UNSEEN=KNOWN")
    return unseen, known

"""`eyechart adapter`: train an adapter on a folder of images, list adapters, export one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from eyechart.cli.console import stopped
from eyechart.core.errors import InputError

if TYPE_CHECKING:
    from eyechart.adapters.package import AdapterConfig
    from eyechart.adapters.pairs import Pairs
    from eyechart.adapters.recipe import Recipe
    from eyechart.core.types import Codec, Task

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
Vlm = Annotated[str, _option("--vlm", "VLM", "Name of `vlm list`, hub id or directory")]
Codecs = Annotated[
    str | None,
    _option("--codecs", "A,B", "As NAME or NAME:key=value. Without it, IMAGES holds pairs"),
]
Injection = Annotated[
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
Rate = Annotated[float, _option("--learning-rate", "RATE", "Of the encoder, after the warm-up")]
Trainable = Annotated[str, _option("--trainable", "WHAT", "encoder (all weights) or lora")]
Conditioning = Annotated[
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
    vlm: Vlm = "eyechart-mini",
    codecs: Codecs = None,
    injection: Injection = "adaln",
    steps: Steps = 600,
    images_a_step: ImagesAStep = 4,
    levels: Levels = None,
    learning_rate: Rate = 3e-4,
    trainable: Trainable = "encoder",
    conditioning: Conditioning = "labelled",
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
    from eyechart.cli.adapter_view import print_results

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
    asked = _tasks(tasks)
    try:
        pairs, coders = _pairs(images, codecs, out, cache or out / "cache")
        config = _train(vlm, pairs, recipe, out, alias, _left_out(images, out, cache))
        if asked:
            config = _ask(vlm, out, asked, coders, task_images)
    except KeyboardInterrupt:
        _stopped(out)
    print_results(config, out)


@app.command("list")
def list_adapters(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to search")] = Path(),
) -> None:
    """List the adapters in a folder and those that ship with the package."""
    from eyechart.cli.adapter_view import print_list
    from eyechart.zoo import weights_dir

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    depths = ("", "*/", "*/*/")  # not everything below: a home directory is large
    places = [
        path for depth in depths for path in sorted(folder.glob(f"{depth}adapter_config.json"))
    ]
    places += sorted(weights_dir("").glob("*/adapter_config.json"))
    print_list([path.parent for path in places], folder)


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
    from eyechart.adapters.base import open_base
    from eyechart.adapters.checks import require_empty
    from eyechart.adapters.fold import export
    from eyechart.adapters.package import open_adapter, with_conditioning
    from eyechart.cli.adapter_view import without_bars
    from eyechart.vlms.adapter_identity import parse_adapter

    if (codec is None) == (conditioning is None):
        raise InputError("give either --codec (a condition to fold) or --conditioning")
    if level and codec is None:
        raise InputError(f"--level {level} needs a --codec")
    require_empty(out)
    if conditioning is not None or codec is None:
        with_conditioning(parse_adapter(adapter)[0], out, str(conditioning))
        print(f"{out}: {adapter}, conditioning {conditioning}")
        return
    opened = open_adapter(adapter)
    opened.config.vocabulary.require(codec, level)
    base = open_base(vlm or str(opened.config.base["name"]))
    if base.checkpoint.folder is None:
        raise InputError(
            f"{base.name}: give the base as a local directory (--vlm), export copies its tokenizer"
        )
    opened.attach(base.model)
    with without_bars():
        export(opened, base.model, base.checkpoint.folder, (codec, level), out)
    print(f"{out}: {base.name} for images of {codec} {level}".rstrip())


def _stopped(out: Path) -> NoReturn:
    from eyechart.adapters.checkpoint import saved_step

    step = saved_step(out)
    stopped(f"the state after step {step} is kept in {out}" if step else "no step is saved yet")


def _tasks(names: str) -> list[Task]:
    """The tasks, with their files read: a wrong name or file is an error before the training."""
    from eyechart.core.plugins import split_specs
    from eyechart.tasks import open_tasks

    tasks = open_tasks(specs) if (specs := split_specs(names)) else []
    for task in tasks:
        task.questions()
    return tasks


def _pairs(images: Path, codecs: str | None, out: Path, cache: Path) -> tuple[Pairs, list[Codec]]:
    from eyechart.adapters.checks import require_place, require_training_folder
    from eyechart.adapters.pairs import CodecPairs, FolderPairs
    from eyechart.core import plugins
    from eyechart.core.plugins import split_specs

    require_training_folder(out)
    if codecs is None:
        return FolderPairs(images), []
    require_place(cache)
    coders: list[Codec] = []
    for spec in split_specs(codecs):
        name, options = plugins.parse_spec(spec)
        coders.append(plugins.load("eyechart.codecs", name, options))
    return CodecPairs(images, coders, cache), coders


def _pair(text: str) -> tuple[str, str]:
    unseen, equals, known = text.partition("=")
    if not (unseen and equals and known):
        raise InputError(f"--condition-alias {text!r} is not of the form UNSEEN=KNOWN")
    return unseen, known


def _left_out(images: Path, *ours: Path | None) -> list[str]:
    """Files below IMAGES that are not used, without those that a training writes."""
    from eyechart.core.images import find_images

    written = [place.resolve() for place in ours if place is not None]
    return [
        str(path.relative_to(images))
        for path in find_images(images)[1]
        if not any(path.resolve().is_relative_to(place) for place in written)
    ]


def _train(
    vlm: str, pairs: Pairs, recipe: Recipe, out: Path, alias: str, left_out: Sequence[str]
) -> AdapterConfig:
    from eyechart.adapters.base import open_base
    from eyechart.adapters.condition import Vocabulary, aliases_by_rank
    from eyechart.adapters.training import AdapterTraining, Setting
    from eyechart.cli.adapter_view import Bar

    named = dict(_pair(text) for text in alias.split(",") if text)
    aliases = aliases_by_rank(named, Vocabulary(entries=pairs.entries))
    bar = Bar(recipe.steps)
    # All errors of the input are raised here, before anything is printed or written.
    with bar.checking():
        training = AdapterTraining(open_base(vlm), pairs, recipe, Setting(out=out), bar, aliases)
    bar.checked(len(pairs.names), left_out, training.first)
    with bar:
        return training.run()


def _ask(vlm: str, out: Path, tasks: list[Task], codecs: list[Codec], images: int) -> AdapterConfig:
    """Ask held-out questions without and with the adapter; store the scores in its config."""
    from eyechart.adapters.answers import compare
    from eyechart.adapters.package import with_answers
    from eyechart.cli.adapter_view import print_compared
    from eyechart.core import plugins
    from eyechart.vlms import open_vlm

    name, given = plugins.parse_spec_or_directory(vlm)
    options: dict[str, Any] = given
    plain, adapted = open_vlm(name, **options), open_vlm(name, adapter=str(out), **options)
    rows = print_compared(compare(plain, adapted, tasks, codecs, images=images))
    answers: Mapping[str, Any] = {
        "images": images,
        "rows": [
            {
                "task": row.task,
                "condition": row.condition,
                "without": row.without,
                "with": row.with_adapter,
            }
            for row in rows
        ],
    }
    return with_answers(out, answers)

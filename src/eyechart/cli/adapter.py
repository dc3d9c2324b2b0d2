"""`eyechart adapter`: train one on a folder of images, list them, write one as a stock model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyechart.core.errors import InputError

if TYPE_CHECKING:
    from eyechart.adapters.package import AdapterConfig
    from eyechart.adapters.pairs import Pairs
    from eyechart.adapters.recipe import Recipe
    from eyechart.core.types import Codec

app = typer.Typer(help="Adapters: train, list, export.", no_args_is_help=True)


Images = Annotated[Path, typer.Argument(metavar="IMAGES", help="Folder of clean images")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the adapter goes")]
Codecs = Annotated[
    str | None,
    typer.Option(
        "--codecs", help="jpeg,hevc,vvc; options as NAME:key=value. None: IMAGES holds pairs"
    ),
]
Injection = Annotated[
    str, typer.Option(help="none, rope_angle, rope_cos_sin, patch_embedding, adaln")
]
Levels = Annotated[
    int | None, typer.Option("--levels", min=1, help="Levels an image and step; default all")
]
Tell = Annotated[str, typer.Option("--tell", help="labelled, unknown, blind")]
Pretend = Annotated[
    str, typer.Option("--pretend", help="Unseen codecs as known ones: hm=jpeg,avif=vvc")
]
MicroPairs = Annotated[
    int | None, typer.Option("--micro-pairs", min=1, help="Pairs at a time, for memory")
]
Cache = Annotated[
    Path | None, typer.Option("--cache", help="Compressed pictures; default DIR/cache")
]
Tasks = Annotated[
    str, typer.Option("--tasks", help="Ask held-out questions at the end: POPE,SEEDBench")
]


@app.command("train")
def train_adapter(
    images: Images,
    out: Out,
    vlm: Annotated[str, typer.Option("--vlm", help="As for `vlm ask`")] = "eyechart-mini",
    codecs: Codecs = None,
    injection: Injection = "adaln",
    steps: Annotated[int, typer.Option("--steps", min=1)] = 600,
    images_a_step: Annotated[int, typer.Option("--images-a-step", min=1)] = 4,
    levels: Levels = None,
    learning_rate: Annotated[float, typer.Option("--learning-rate")] = 3e-4,
    trainable: Annotated[str, typer.Option("--trainable", help="encoder or lora")] = "encoder",
    tell: Tell = "labelled",
    pretend: Pretend = "",
    validation_images: Annotated[int, typer.Option("--validation-images", min=1)] = 32,
    micro_pairs: MicroPairs = None,
    checkpointing: Annotated[bool, typer.Option("--gradient-checkpointing")] = False,
    bf16: Annotated[bool, typer.Option("--bf16/--float32")] = True,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    cache: Cache = None,
    tasks: Tasks = "",
    task_images: Annotated[int, typer.Option("--task-images", min=1)] = 40,
) -> None:
    """Distil an adapter. No questions are needed; run it again to go on where it was stopped."""
    from eyechart.adapters.recipe import Recipe
    from eyechart.cli.adapter_view import print_results

    recipe = Recipe(
        injection=injection,
        steps=steps,
        images_a_step=images_a_step,
        levels_an_image=levels,
        learning_rate=learning_rate,
        trainable=trainable,
        bf16=bf16,
        gradient_checkpointing=checkpointing,
        micro_pairs=micro_pairs,
        validation_images=validation_images,
        seed=seed,
        tell=tell,
    )
    pairs, coders = _pairs(images, codecs, cache or out / "cache")
    config = _train(vlm, pairs, recipe, out, pretend)
    if tasks:
        config = _ask(vlm, out, tasks.split(","), coders, task_images)
    print_results(config, out)


@app.command("list")
def list_adapters(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to look")] = Path(),
) -> None:
    """Adapters in a folder and those that ship with the package."""
    from eyechart.cli.adapter_view import print_list
    from eyechart.zoo import weights_dir

    depths = ("", "*/", "*/*/")  # not everything below: a home directory is large
    places = [
        path for depth in depths for path in sorted(folder.glob(f"{depth}adapter_config.json"))
    ]
    places += sorted(weights_dir("").glob("*/adapter_config.json"))
    print_list([path.parent for path in places], folder)


@app.command("export")
def export_adapter(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="An adapter, or its name")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR")],
    codec: Annotated[
        str | None, typer.Option("--codec", help="Fold this condition; unknown: the learned one")
    ] = None,
    level: Annotated[str, typer.Option("--level")] = "",
    tell: Annotated[
        str | None,
        typer.Option(
            "--tell", help="No folding: the same adapter, told labelled, unknown or blind"
        ),
    ] = None,
    vlm: Annotated[
        str | None, typer.Option("--vlm", help="The base; default: as the adapter names it")
    ] = None,
) -> None:
    """Fold one condition into ordinary weights: stock transformers and vLLM load the result."""
    from eyechart.adapters.base import open_base
    from eyechart.adapters.fold import export
    from eyechart.adapters.package import open_adapter, retell
    from eyechart.zoo import adapter_dir

    if (codec is None) == (tell is None):
        raise InputError("give --codec (a condition to fold) or --tell, one of the two")
    if tell is not None or codec is None:
        retell(adapter_dir(adapter), out, str(tell))
        print(f"{out}: {adapter}, told {tell}")
        return
    opened = open_adapter(adapter)
    opened.config.vocabulary.require(codec, level)
    base = open_base(vlm or str(opened.config.base["name"]))
    if base.checkpoint.folder is None:
        raise InputError(
            f"{base.name}: give the base as a local directory (--vlm), export copies its tokenizer"
        )
    opened.attach(base.model)
    export(opened, base.model, base.checkpoint.folder, (codec, level), out)
    print(f"{out}: {base.name} for pictures of {codec} {level}".rstrip())


def _pairs(images: Path, codecs: str | None, cache: Path) -> tuple[Pairs, list[Codec]]:
    from eyechart.adapters.pairs import CodecPairs, FolderPairs
    from eyechart.core import plugins
    from eyechart.run.plan import split_specs

    if codecs is None:
        return FolderPairs(images), []
    coders: list[Codec] = []
    for spec in split_specs(codecs):
        name, options = plugins.parse_spec(spec)
        coders.append(plugins.load("eyechart.codecs", name, **options))
    return CodecPairs(images, coders, cache), coders


def _pair(text: str) -> tuple[str, str]:
    unseen, equals, known = text.partition("=")
    if not (unseen and equals and known):
        raise InputError(f"--pretend {text!r} is not of the form UNSEEN=KNOWN")
    return unseen, known


def _train(vlm: str, pairs: Pairs, recipe: Recipe, out: Path, pretend: str) -> AdapterConfig:
    from eyechart.adapters.base import open_base
    from eyechart.adapters.condition import Vocabulary, pretend_by_rank
    from eyechart.adapters.training import Setting, train
    from eyechart.cli.adapter_view import Bar

    named = dict(_pair(text) for text in pretend.split(",") if text)
    pretended = pretend_by_rank(named, Vocabulary(entries=pairs.entries))
    with Bar(recipe.steps) as bar:
        return train(
            open_base(vlm), pairs, recipe, Setting(out=out), watcher=bar, pretend=pretended
        )


def _ask(vlm: str, out: Path, tasks: list[str], codecs: list[Codec], images: int) -> AdapterConfig:
    """Answer held-out questions without and with the adapter, and note the scores in it."""
    from eyechart.adapters.answers import compare
    from eyechart.adapters.base import split_spec
    from eyechart.adapters.package import with_answers
    from eyechart.cli.adapter_view import print_compared
    from eyechart.tasks import open_tasks
    from eyechart.vlms import open_vlm

    name, options = split_spec(vlm)
    plain, adapted = open_vlm(name, **options), open_vlm(name, adapter=str(out), **options)
    rows = print_compared(compare(plain, adapted, open_tasks(tasks), codecs, images=images))
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

"""Export a trained model: half-precision weights and a model card.

    python -m recipes.chart.ship --run RUN/s --name eyechart-mini-s [--out DIR]

RUN/s is one size's directory that `train_vlm` wrote. Without --out the files go into the package,
under the name. Weights are stored as float16 (half the size; they are used in float32). The card's
learning curve and table are made from RUN/s/log.jsonl.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# {name}

A built-in VLM of eyechart: transformers' `Qwen2_5_VLForConditionalGeneration` with
{parameters:.1f} M parameters, trained from random weights on rendered scenes. It is for
measuring and no assistant: it answers short questions about images like those of the built-in
chart, and no others. It is one of three sizes (2, 7 and 16 M parameters) that were trained with the
same settings and the same data in the same order.

- **Data**: {scenes:,} scenes of recipes/chart (split `train`), each used once, about a dozen
  questions a scene with the prompts of the seven tasks. Test scenes, and some of their fonts, words
  and layouts, are not in the training data. All images were uncompressed.
- **Cost**: {steps:,} steps of {batch} scenes in {minutes:.1f} minutes on {device}, beside other
  sizes; a step of this size takes {step_ms:.0f} ms there.{budget}
- **Recipe**: `recipes/chart/train_vlm.py`; settings that were tried: `recipes/chart/README.md`.
- **Limits**: 224 x 224 images; answers multiple choice with an option's text, and names what
  decides before yes or no ("left. No").

## Learning curve

Right is the mean over all question types of held-out scenes.

{curve}

## Held-out scenes, share of answers that are exactly right

Captions are varied on purpose, so that hardly any is predicted word for word.

{table}
"""
BUDGET = """ The run ended by its time
  ({seconds} s), so another machine sees another number of scenes."""


def main() -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Export a trained model.")
    parser.add_argument("--run", type=Path, required=True, help="directory of one size")
    parser.add_argument("--name", required=True, help="the model's name")
    parser.add_argument("--out", type=Path, help="default: the package's weights of that name")
    args = parser.parse_args()
    ship(args.run, args.name, args.out)


def ship(run: Path, name: str, out: Path | None = None) -> None:
    """Write a model directory (default: the package's) from one size's training directory."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        run / "model", dtype=torch.float32
    )
    if out is None:
        from eyechart.zoo import weights_dir

        out = weights_dir(name)
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)  # others may read what is installed
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(run / "model" / file, out / file)
    shutil.copy(run / "model" / "preprocessor_config.json", out / "preprocessor_config.json")
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    (out / "README.md").write_text(card(name, log))
    print(f"{out}: {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.1f} MB")


def card(name: str, log: list[dict[str, Any]]) -> str:
    """The model card, from a learning curve.

    Raises:
        ValueError: the curve has no validation.
    """
    start = next(entry for entry in log if "settings" in entry)
    steps = [entry for entry in log if "step" in entry]
    validated = [entry for entry in steps if entry.get("held_out")]
    if not validated:
        raise ValueError("the log has no validation; train with --held-out above 0")
    curve = "\n".join(
        f"| {entry['scenes']:,} | {entry['answer_loss']:.3f} | {entry['probe_loss']:.2f} "
        f"| {_mean(entry['held_out']):.1%} |"
        for entry in validated
    )
    rows = "\n".join(
        f"| {kind} | {share:.1%} |" for kind, share in validated[-1]["held_out"].items()
    )
    seconds = start["settings"]["seconds"]
    return CARD.format(
        name=name,
        parameters=start["parameters"] / 1e6,
        scenes=steps[-1]["scenes"],
        steps=steps[-1]["step"],
        batch=start["settings"]["batch"],
        minutes=steps[-1]["seconds"] / 60,
        device=start["device"],
        step_ms=1000 * sorted(entry["step_s"] for entry in steps)[len(steps) // 2],
        budget="" if seconds == "None" else BUDGET.format(seconds=seconds),
        curve="| scenes | answer loss | probe loss | right |\n| ---: | ---: | ---: | ---: |\n"
        + curve,
        table=f"| question type | right |\n| --- | ---: |\n{rows}",
    )


def _mean(shares: dict[str, float]) -> float:
    return sum(shares.values()) / len(shares)


if __name__ == "__main__":
    main()

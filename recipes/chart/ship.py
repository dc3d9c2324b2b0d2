"""Put a trained model into the package: half-precision weights and a model card.

    python -m recipes.chart.ship --run RUN

RUN is the directory that `train_vlm` wrote. Weights are stored as float16 (half the size; they are
used in float32). The card's table is made from the last line of RUN/log.jsonl with a validation.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from eyechart.zoo import weights_dir

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# eyechart-mini

The built-in VLM of eyechart: transformers' `Qwen2_5_VLForConditionalGeneration` with
{parameters:.1f} M parameters, trained from random weights on rendered scenes. It is for
measuring and no assistant: it answers short questions about images like those of the built-in
chart, and no others.

- **Data**: {scenes:,} scenes of recipes/chart (split `train`), each used once, about ten
  questions a scene with the prompts of the seven tasks. Test scenes, and some of their fonts, words
  and layouts, are not in the training data. All images were uncompressed.
- **Cost**: {steps:,} steps on two CPU cores, about {hours:.1f} hours.
- **Recipe**: `recipes/chart/train_vlm.py`; settings that were tried: `recipes/chart/README.md`.
- **Limits**: 224 x 224 images; answers multiple choice with an option's text.

## Held-out scenes, share of answers that are exactly right

{table}
"""


def main() -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Put a trained model into the package.")
    parser.add_argument("--run", type=Path, required=True)
    ship(parser.parse_args().run)


def ship(run: Path) -> None:
    """Write the package's `eyechart-mini` from a training run."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        run / "model", dtype=torch.float32
    )
    target = weights_dir("eyechart-mini")
    target.mkdir(parents=True, exist_ok=True)
    parameters = sum(p.numel() for p in model.parameters())
    model.to(torch.float16).save_pretrained(target)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(run / "model" / name, target / name)
    shutil.copy(run / "model" / "preprocessor_config.json", target / "preprocessor_config.json")
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    (target / "README.md").write_text(card(log, parameters))
    print(f"{target}: {sum(f.stat().st_size for f in target.iterdir()) / 1e6:.1f} MB")


def card(log: list[dict[str, Any]], parameters: int) -> str:
    """The model card, from a learning curve."""
    validated = [entry for entry in log if "held_out" in entry][-1]
    rows = "\n".join(f"| {kind} | {share:.1%} |" for kind, share in validated["held_out"].items())
    seconds = sum(
        (entry["scenes"] - before) / entry["scenes_per_s"]
        for before, entry in zip([0, *(e["scenes"] for e in log)], log, strict=False)
        if entry["scenes"] > before
    )
    return CARD.format(
        parameters=parameters / 1e6,
        scenes=log[-1]["scenes"],
        steps=log[-1]["step"],
        hours=seconds / 3600,
        table=f"| question type | right |\n| --- | ---: |\n{rows}",
    )


if __name__ == "__main__":
    main()

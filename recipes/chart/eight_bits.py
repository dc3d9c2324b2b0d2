"""Store the matrices of a shipped model in 8 bits.

    python -m recipes.chart.eight_bits --model DIR

The last step for the sizes whose weights would be too large for the package. All matrices of the
vision tower and of the language model's layers become float8 (e4m3, `torch.float8_e4m3fn`); those
of the tokens (embeddings and output), norms and biases stay float16. transformers converts them to
the wanted type when it loads the model, so nothing else changes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_WIDE = ("embed_tokens", "lm_head")  # every answer depends on these
_LARGEST = torch.finfo(torch.float8_e4m3fn).max
_SECTION = """
## Storage

The matrices of the vision tower and of the language model's layers are stored in 8 bits (float8,
e4m3; `recipes/chart/eight_bits.py`): rounding moved them by {error:.1%} of their root mean square.
Those of the tokens (embeddings and output), norms and biases are float16.
"""


def in_eight_bits(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    """The weights with all matrices but those of the tokens as float8, and their relative error.

    Raises:
        ValueError: they are in 8 bits already, or a weight is outside of the type's range.
    """
    stored: dict[str, Tensor] = {}
    error, power = 0.0, 0.0
    for name, weight in weights.items():
        if weight.ndim < 2 or any(part in name for part in _WIDE):
            stored[name] = weight
            continue
        if weight.dtype == torch.float8_e4m3fn:
            raise ValueError(f"{name} is stored in 8 bits already")
        exact = weight.float()
        if exact.abs().max() > _LARGEST:
            raise ValueError(f"{name}: weights up to {exact.abs().max():g}; allowed: {_LARGEST:g}")
        stored[name] = exact.to(torch.float8_e4m3fn)
        error += float((stored[name].float() - exact).square().sum())
        power += float(exact.square().sum())
    return stored, (error / power) ** 0.5


def main() -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Store a model's matrices in 8 bits.")
    parser.add_argument("--model", type=Path, required=True, help="directory that `ship` wrote")
    folder = parser.parse_args().model
    weights, error = in_eight_bits(load_file(folder / "model.safetensors"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # others may read what is installed
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card.rstrip() + "\n" + _SECTION.format(error=error))
    print(f"{folder}: {(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

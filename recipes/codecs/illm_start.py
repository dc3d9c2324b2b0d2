"""First weights of illm-mini: those of a level of elic-mini, as far as the networks agree.

python -m recipes.codecs.illm_start LEVEL OUT [--factor F]

LEVEL: of elic-mini. OUT: a safetensors file. F: multiplies the latent, for a lower rate.
The channels of y are ordered by size: the last slice, which illm-mini has not, is left out. Blocks
that elic-mini has not start as the identity.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eyechart.codecs.generative.plugins import ILLM_MINI_SHAPE
from eyechart.codecs.learned.elic import MINI, Elic
from eyechart.codecs.learned.layers import ResidualBottleneck, bias_of
from eyechart.codecs.learned.plugins import ELIC_MINI


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("level")
    parser.add_argument("out", type=Path)
    parser.add_argument("--factor", type=float, default=1.0)
    arguments = parser.parse_args()
    before, after = Elic(MINI), Elic(ILLM_MINI_SHAPE)
    assert ELIC_MINI.shipped is not None
    tensors = load_file(ELIC_MINI.shipped / f"{arguments.level}.safetensors")
    before.load_state_dict({key: value.float() for key, value in tensors.items()})
    before.scale_latent(arguments.factor)
    torch.manual_seed(0)
    for name, part in after.named_children():
        if name != "g_s":
            _fill(part, before.get_submodule(name))
    with torch.no_grad():
        _fill_synthesis(after.g_s, before.g_s)
    save_file(after.state_dict(), arguments.out)


def _fill(after: nn.Module, before: nn.Module) -> None:
    """Give a module the weights of a wider one, the first of each axis."""
    wider = before.state_dict()
    after.load_state_dict({key: _first(wider[key], v) for key, v in after.state_dict().items()})


def _first(wider: Tensor, like: Tensor) -> Tensor:
    return wider[tuple(slice(size) for size in like.shape)].clone()


def _fill_synthesis(after: nn.Sequential, before: nn.Sequential) -> None:
    """Layers in order, those that `before` has not as the identity."""
    rest = list(before)
    for layer in after:
        if rest and type(layer) is type(rest[0]):
            _fill(layer, rest.pop(0))
            continue
        assert isinstance(layer, ResidualBottleneck)
        nn.init.zeros_(layer.conv3.weight)
        nn.init.zeros_(bias_of(layer.conv3))


if __name__ == "__main__":
    _main()

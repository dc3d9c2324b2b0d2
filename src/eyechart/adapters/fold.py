"""Folding one condition into ordinary weights: the result is a checkpoint without adapter code.

It is for images of a single codec and level. transformers and vLLM load it like any other.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from eyechart.adapters.condition import Condition
from eyechart.adapters.package import LoadedAdapter
from eyechart.adapters.towers import tower_of
from eyechart.core.errors import InputError
from eyechart.store.files import store_errors

# The files of a checkpoint directory beside the weights: tokenizer, processors, templates.
_BESIDE = ("*.json", "*.jinja", "*.txt", "*.model")


def folded(adapter: LoadedAdapter, model: Any, condition: Condition) -> Any:
    """A stock model with the same output as the adapter under this condition.

    adapter: attached to `model`. Its own conditioning is ignored.
    The result is exact up to the rounding of one float32 operation.
    Raises:
        InputError: the condition is not in the vocabulary, or the injection cannot be folded (the
            message says why).
    """
    row = adapter.config.vocabulary.require(*condition)
    plain = copy.deepcopy(model)
    tower = tower_of(plain)
    assert adapter.conditioner is not None, "attach first"
    _take_hooks_away(tower.module, {handle.id for handle in adapter.conditioner.handles})
    adapter.conditioner.injection.fold(tower, row)
    return plain


def _take_hooks_away(tower: nn.Module, ours: set[int]) -> None:
    """Remove only the adapter's hooks: transformers has hooks in its own modules too."""
    for module in tower.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for number in ours & set(hooks):
                hooks.pop(number)
                module._forward_pre_hooks_with_kwargs.pop(number, None)


def export(
    adapter: LoadedAdapter, model: Any, source: Path, condition: Condition, out: Path
) -> None:
    """Write the folded model to `out` as a complete `from_pretrained` directory.

    source: the base model's directory, for tokenizer and processors.
    Raises:
        InputError: see `folded`; `out` is a file or a folder that is not empty, or cannot be made.
        StoreError.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; allowed: a new or an empty folder")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: not empty; choose another")
    plain = folded(adapter, model, condition)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror})") from error
    with store_errors(out, "be written"):
        for pattern in _BESIDE:
            for path in source.glob(pattern):
                shutil.copyfile(path, part / path.name)
        (part / "model.safetensors.index.json").unlink(missing_ok=True)
        plain.save_pretrained(part)
        if out.exists():
            out.rmdir()
        part.rename(out)

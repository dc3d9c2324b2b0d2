"""Folding one condition into ordinary weights: the result is a checkpoint without adapter code.

It is for images of a single codec and level. transformers and vLLM load it like any other.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from eyechart.adapters.base import open_base
from eyechart.adapters.condition import Condition
from eyechart.adapters.package import (
    LoadedAdapter,
    open_adapter,
    read_config,
    with_conditioning,
)
from eyechart.adapters.towers import tower_of
from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.files import require_empty
from eyechart.store.files import store_errors
from eyechart.vlms.adapter_identity import parse_adapter
from eyechart.vlms.quiet import quiet

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
    _remove_hooks(tower.module, {handle.id for handle in adapter.conditioner.handles})
    with plugins.guarded(adapter.config.injection):
        adapter.conditioner.injection.fold(tower, row)
    return plain


def _remove_hooks(tower: nn.Module, ours: set[int]) -> None:
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


def export_adapter(
    adapter: str,
    out: Path,
    *,
    codec: str | None = None,
    level: str = "",
    conditioning: str | None = None,
    vlm: str | None = None,
) -> str:
    """Fold a condition of an adapter into the weights of its base VLM (`codec`, `level`), or copy
    the adapter with another conditioning. Returns the name of the base VLM.

    adapter: directory or name. codec: `unknown` folds the condition of unknown images. vlm: the
    base as a local directory; None: the one that the adapter names.

    Raises:
        InputError: before the base is loaded: not exactly one of `codec` and `conditioning`, no
            such adapter or condition, `out` is not empty; later: another base.
        StoreError.
    """
    if (codec is None) == (conditioning is None):
        raise InputError("give either --codec, a condition to fold, or --conditioning")
    if level and codec is None:
        raise InputError(f"level {level} needs a codec")
    require_empty(out)
    if codec is None:
        folder, _ = parse_adapter(adapter)
        with_conditioning(folder, out, str(conditioning))
        return str(read_config(folder).base["name"])
    opened = open_adapter(adapter)
    opened.config.vocabulary.require(codec, level)
    base = open_base(vlm or str(opened.config.base["name"]))
    if base.checkpoint.folder is None:
        raise InputError(
            f"{base.name}: give the base as a local directory (vlm), export copies its tokenizer"
        )
    opened.attach(base.model)
    with quiet():
        export(opened, base.model, base.checkpoint.folder, (codec, level), out)
    return base.name

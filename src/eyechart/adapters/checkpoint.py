"""Training state on disk: one safetensors file, replaced atomically, so that a kill loses only the
steps after the last save. The optimizer state is stored as named tensors, without pickle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eyechart.core.errors import InputError, StoreError
from eyechart.core.foreign import parse_json
from eyechart.core.identity import digest
from eyechart.core.training_state import ADAPTER_STATE
from eyechart.store.files import read_lines, write_atomic

STATE, LOG = ADAPTER_STATE, "log.jsonl"


def save_state(
    folder: Path, module: nn.Module, optimizer: Any, step: int, identity: object
) -> None:
    """Write weights that are trained, optimizer state and the number of steps done."""
    from safetensors.torch import save as to_bytes

    tensors = {f"weight.{name}": p.detach() for name, p in _trained(module)}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            tensors[f"optimizer.{index}.{key}"] = torch.as_tensor(value)
    plain = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    metadata = {"step": str(step), "identity": digest(identity)}
    write_atomic(folder / STATE, to_bytes(plain, metadata=metadata))


def load_state(folder: Path, module: nn.Module, optimizer: Any, identity: object) -> int:
    """Load a saved state; -> number of steps done, 0 without a saved state.

    identity: must equal that of the saved state.
    Raises:
        InputError: the state is damaged, or of another training.
    """
    path = folder / STATE
    if not path.is_file():
        return 0
    tensors, metadata = _read(path)
    if metadata.get("identity") != digest(identity):
        raise InputError(
            f"{folder}: holds another training (VLM, images, codecs or settings differ); "
            "choose another folder or delete it"
        )
    with torch.no_grad():
        for name, parameter in _trained(module):
            parameter.copy_(tensors[f"weight.{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(metadata["step"])


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: damaged or cut short ({error}); delete it to start again"
        ) from error


def cut_log(folder: Path, steps: int) -> None:
    """Remove log lines after the step from which training continues. Raises StoreError."""
    path = folder / LOG
    kept = [line for line in read_lines(path) if _step_of(path, line) <= steps]
    if path.exists():
        write_atomic(path, "".join(f"{line}\n" for line in kept).encode())


def _step_of(path: Path, line: str) -> int:
    try:
        return int(parse_json(line)["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: damaged line {line[:40]!r}") from error


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in module.named_parameters() if p.requires_grad)

"""An adapter on disk: saving, loading and checking it.

DIR/adapter_config.json        base model, vocabulary, injection, training data and cost
    adapter_model.safetensors  what training changed in the encoder, the condition tables,
                               the estimator
    README.md                  model card
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eyechart.adapters.condition import Condition, Vocabulary
from eyechart.adapters.conditioned import Conditioner
from eyechart.adapters.injection import check_injection
from eyechart.adapters.towers import tower_of
from eyechart.adapters.trainable import apply_changes
from eyechart.core.errors import InputError, PluginError, one_line
from eyechart.core.foreign import read_json
from eyechart.core.types import Component, Json
from eyechart.store.files import store_errors, write_atomic
from eyechart.vlms.adapter_identity import (
    CONFIG,
    FIRST_NAMES,
    WEIGHTS,
    Conditioning,
    check_conditioning,
    parse_adapter,
)
from eyechart.vlms.towers import Tower
from eyechart.zoo import weights_dir

FORMAT = 1
CARD = "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterConfig:
    """The configuration of an adapter.

    base: name, version, family and options of the VLM it was trained for. fingerprint: of that
    VLM's vision tower. tensors: names of all tensors in the weights file. codecs: those that
    compressed the training images, with versions and options; empty if unknown. training: data and
    cost. results: feature errors, and scores of answers if they were measured.
    """

    base: Mapping[str, Json]
    fingerprint: str
    vocabulary: Vocabulary
    injection: str
    trainable: str
    tensors: tuple[str, ...] = ()
    conditioning: Conditioning = "labelled"
    codecs: tuple[Component, ...] = ()
    training: Mapping[str, Json] = field(default_factory=dict)
    results: Mapping[str, Json] = field(default_factory=dict)

    @property
    def trained_codecs(self) -> tuple[str, ...]:
        """Codecs seen in training, including `source`."""
        return self.vocabulary.codecs

    def to_json(self) -> dict[str, Json]:
        """The contents of adapter_config.json."""
        return {
            "format": FORMAT,
            "base": self.base,
            "fingerprint": self.fingerprint,
            "entries": [list(entry) for entry in self.vocabulary.entries],
            "condition_aliases": [
                [list(unseen), list(known)] for unseen, known in self.vocabulary.aliases.items()
            ],
            "trained_codecs": list(self.trained_codecs),
            "injection": self.injection,
            "trainable": self.trainable,
            "tensors": list(self.tensors),
            "conditioning": self.conditioning,
            "codecs": [asdict(codec) for codec in self.codecs],
            "training": self.training,
            "results": self.results,
        }


class LoadedAdapter:
    """An adapter from disk, to be attached to one model (see `vlms.checkpoint.Adapter`)."""

    def __init__(self, config: AdapterConfig, weights: Mapping[str, Tensor], where: str) -> None:
        self.config, self.where = config, where
        self.conditioner: Conditioner | None = None
        self.tower: Tower | None = None
        self._weights = weights

    @property
    def base_version(self) -> str:
        """Version of the VLM that it was trained for; "" if it is not known."""
        return str(self.config.base.get("version", ""))

    def check(self, family: str) -> None:
        """Refuse a VLM of another family than its base. Raises InputError."""
        base = self.config.base
        if base.get("family", family) != family:
            raise InputError(
                f"adapter {self.where}: made for {base.get('name')} of family {base['family']}, "
                f"this VLM is of family {family}"
            )

    def attach(self, model: Any) -> None:
        """Change the model's vision tower in place and hook the condition into it.

        Raises:
            InputError: another base, weights missing or of another shape.
        """
        tower = tower_of(model)
        found = fingerprint(tower)
        if found != self.config.fingerprint:
            raise InputError(
                f"adapter {self.where}: made for {self.config.base.get('name')} "
                f"(vision tower {self.config.fingerprint}), this VLM's vision tower is {found}; "
                "train an adapter for it with eyechart adapter train"
            )
        config = self.config
        conditioner = Conditioner(tower, config.vocabulary, config.injection, config.conditioning)
        _load_conditioner(conditioner, self._weights, self.where)
        changed = _changed(self._weights)
        _check_changed(changed, tower, self.where)
        apply_changes(tower, changed)
        parameter = next(tower.module.parameters())
        conditioner.to(parameter.device).eval().requires_grad_(False)
        conditioner.attach(tower)
        self.conditioner, self.tower = conditioner, tower

    def set_conditions(self, conditions: Sequence[Condition]) -> None:
        """Set the (codec, level) of each unit of the next call, or one for all units.

        A unit is an image for Qwen and Janus, a tile for InternVL.
        """
        assert self.conditioner is not None, "attach first"
        self.conditioner.set_conditions(conditions)


def fingerprint(tower: Tower) -> str:
    """16 hex digits of the encoder's weights, the same in float32 and bfloat16."""
    whole = hashlib.sha256()
    for name, tensor in sorted(tower.module.state_dict().items()):
        rounded = tensor.detach().to(torch.bfloat16).contiguous().cpu().view(torch.uint8)
        whole.update(f"{name}{tuple(tensor.shape)}".encode())
        whole.update(rounded.numpy().tobytes())
    return whole.hexdigest()[:16]


def save(
    folder: Path, config: AdapterConfig, conditioner: Conditioner, changed: Mapping[str, Tensor]
) -> None:
    """Write an adapter; each file atomically, the configuration last.

    changed: from `trainable.changes`. `config.tensors` is filled in. Raises StoreError.
    """
    from safetensors.torch import save as to_bytes

    weights = dict(changed)
    for name, tensor in conditioner.state_dict().items():
        weights[name] = tensor.detach().float().contiguous().cpu()
    config = replace(config, tensors=tuple(sorted(weights)))
    with store_errors(folder, "be made"):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / WEIGHTS, to_bytes(weights, metadata={"format": "pt"}))
    _write_config(folder, config)


def open_adapter(spec: str | Path) -> LoadedAdapter:
    """An adapter by directory or name; `DIR:conditioning=estimated` replaces its own conditioning.

    Raises:
        InputError: not an adapter, a damaged or truncated one, an unknown option.
    """
    folder, conditioning = parse_adapter(str(spec))
    config = read_config(folder)
    config = replace(config, conditioning=conditioning or config.conditioning)
    weights = _read_weights(folder / WEIGHTS)
    if missing := [tensor for tensor in config.tensors if tensor not in weights]:
        raise InputError(
            f"adapter {folder}: {len(missing)} of {len(config.tensors)} tensors missing, "
            f"first {missing[0]}"
        )
    return LoadedAdapter(config, weights, str(folder))


def find_adapters(folder: Path) -> list[Path]:
    """Folders of the adapters in a folder and in the folders two levels below it, sorted; then
    those of the adapters that ship with the package. Raises InputError: no such folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    depths = ("", "*/", "*/*/")  # not everything below: a home directory is large
    found = [path for depth in depths for path in sorted(folder.glob(f"{depth}{CONFIG}"))]
    found += sorted(weights_dir("").glob(f"*/{CONFIG}"))
    return [path.parent for path in found]


def read_config(folder: Path) -> AdapterConfig:
    """adapter_config.json, checked. Raises InputError."""
    path = folder / CONFIG
    try:
        value = read_json(path)
        if value["format"] != FORMAT:
            raise InputError(f"{path}: format {value['format']}, this eyechart reads {FORMAT}")
        try:
            check_injection(str(value["injection"]))
        except PluginError as error:
            raise PluginError(f"{path}: {error}") from error
        aliases = _named(value, "condition_aliases")
        vocabulary = Vocabulary(
            entries=tuple((str(codec), str(level)) for codec, level in value["entries"]),
            aliases={(str(a), str(b)): (str(c), str(d)) for (a, b), (c, d) in aliases},
        )
        return AdapterConfig(
            base=value["base"],
            fingerprint=value["fingerprint"],
            vocabulary=vocabulary,
            injection=value["injection"],
            trainable=value["trainable"],
            tensors=tuple(map(str, value["tensors"])),
            conditioning=check_conditioning(_named(value, "conditioning")),
            codecs=tuple(Component(**codec) for codec in value.get("codecs", ())),
            training=value["training"],
            results=_results(value["results"]),
        )
    except OSError as error:
        raise InputError(f"adapter {str(folder)!r}: no {CONFIG} ({error.strerror})") from error
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({one_line(error)})") from error


def _named(config: Mapping[str, Any], key: str) -> Any:
    """A value under its key, or under that key's name in the first release."""
    return config[key] if key in config else config[FIRST_NAMES[key]]


def _results(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Stored results, with the current names of the conditionings."""
    if "feature_error" not in stored:
        return dict(stored)
    errors = {check_conditioning(key): value for key, value in stored["feature_error"].items()}
    return {**stored, "feature_error": errors}


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path}: damaged or cut short ({error})") from error


def _changed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kinds = ("delta.", "lora_a.", "lora_b.")
    return {name: tensor for name, tensor in weights.items() if name.startswith(kinds)}


def _load_conditioner(conditioner: Conditioner, weights: Mapping[str, Tensor], where: str) -> None:
    wanted = conditioner.state_dict()
    for name, tensor in wanted.items():
        if name not in weights:
            raise InputError(f"adapter {where}: tensor {name} is missing")
        if weights[name].shape != tensor.shape:
            raise InputError(
                f"adapter {where}: {name} has shape {tuple(weights[name].shape)}, the vocabulary "
                f"of {conditioner.vocabulary.rows - 1} conditions needs {tuple(tensor.shape)}"
            )
    if extra := sorted(weights.keys() - wanted.keys() - _changed(weights).keys()):
        raise InputError(f"adapter {where}: tensor {extra[0]} belongs to no part of it")
    conditioner.load_state_dict({name: weights[name] for name in wanted})


def _check_changed(changed: Mapping[str, Tensor], tower: Tower, where: str) -> None:
    state = tower.module.state_dict()
    for key, tensor in changed.items():
        kind, _, name = key.partition(".")
        shape = tuple(tensor.shape)
        if kind == "lora_a":
            other = changed.get(f"lora_b.{name}")
            if other is None:
                raise InputError(f"adapter {where}: tensor lora_b.{name} is missing")
            shape = (other.shape[0], tensor.shape[1])
        elif kind == "lora_b":
            if f"lora_a.{name}" not in changed:
                raise InputError(f"adapter {where}: tensor lora_a.{name} is missing")
            continue
        if name not in state or tuple(state[name].shape) != shape:
            raise InputError(f"adapter {where}: {key} fits no weight of the vision tower")


def with_conditioning(folder: Path, out: Path, conditioning: str) -> None:
    """Copy an adapter to `out`, a new or empty folder, with another conditioning.

    Raises InputError, StoreError.
    """
    config = replace(read_config(folder), conditioning=check_conditioning(conditioning))
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: not empty; choose another")
    with store_errors(out, "be written"):
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / WEIGHTS, (folder / WEIGHTS).read_bytes())
    _write_config(out, config)


def with_answers(folder: Path, answers: Mapping[str, Any]) -> AdapterConfig:
    """Add measured answers to a saved adapter's configuration and model card.

    The weights file is unchanged. The configuration and so the adapter's identity change.
    Raises InputError, StoreError.
    """
    found = read_config(folder)
    config = replace(found, results={**found.results, "answers": answers})
    _write_config(folder, config)
    return config


def _write_config(folder: Path, config: AdapterConfig) -> None:
    from eyechart.adapters.card import card

    write_atomic(folder / CARD, card(config, folder.name).encode())
    text = json.dumps(config.to_json(), indent=1, ensure_ascii=False)
    write_atomic(folder / CONFIG, f"{text}\n".encode())

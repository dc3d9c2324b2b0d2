"""The VLMs of the paper by name, in one table, and how a checkpoint tells its family."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from eyechart.core.errors import InputError

# `model_type` in config.json -> plug-in that runs it.
FAMILIES = {"qwen2_5_vl": "qwen2_5_vl", "internvl": "internvl", "janus": "janus"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A VLM that resolves by name.

    hub_id: empty for VLMs that eyechart does not load from the hub. served_model: how a server
    calls it. own_server: only a server of the user's own has it, so that its address is needed.
    """

    name: str
    plugin: str
    hub_id: str = ""
    served_model: str = ""
    own_server: bool = False
    note: str = ""

    @property
    def model(self) -> str | None:
        """What the plug-in's option `model` shall be."""
        return self.hub_id or self.served_model or None


def _qwen(size: str) -> Known:
    return Known(
        name=f"qwen2.5-vl-{size.lower()}",
        plugin="qwen2_5_vl",
        hub_id=f"Qwen/Qwen2.5-VL-{size}-Instruct",
    )


def _internvl(size: str) -> Known:
    return Known(
        name=f"internvl3-{size.lower()}",
        plugin="internvl",
        hub_id=f"OpenGVLab/InternVL3-{size}-hf",
    )


def _janus(size: str) -> Known:
    return Known(
        name=f"janus-pro-{size.lower()}",
        plugin="janus",
        hub_id=f"deepseek-community/Janus-Pro-{size}",
    )


KNOWN: tuple[Known, ...] = (
    Known(name="eyechart-mini", plugin="eyechart-mini", note="built in"),
    *(_qwen(size) for size in ("3B", "7B", "32B")),
    *(_internvl(size) for size in ("1B", "2B", "8B")),
    *(_janus(size) for size in ("1B", "7B")),
    Known(
        name="qwen-vl-chat",
        plugin="openai",
        served_model="Qwen/Qwen-VL-Chat",
        own_server=True,
        note="needs a server of its own, see docs/serving.md",
    ),
    Known(name="gpt-4o", plugin="openai", served_model="gpt-4o", note="needs OPENAI_API_KEY"),
)


def model_type_of(folder: Path) -> str:
    """`model_type` of a checkpoint directory.

    Raises:
        InputError: no config.json, or one that is not a JSON object with a model_type.
    """
    config = folder / "config.json"
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder}: not a VLM directory, config.json cannot be read ({error.strerror})"
        ) from error
    except ValueError as error:
        raise InputError(f"{config}: not JSON ({error})") from error
    if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
        raise InputError(f"{config}: has no model_type")
    return str(found["model_type"])


def check_directory(folder: Path, model_type: str) -> None:
    """Refuse a directory of another family or without weights, before anything is loaded.

    Raises:
        InputError: one line that says what is missing.
    """
    found = model_type_of(folder)
    if found != model_type:
        raise InputError(
            f"{folder}: config.json is of family {found!r}, this VLM needs {model_type!r}"
        )
    missing = missing_weights(folder)
    if missing:
        raise InputError(f"{folder}: no weights: {missing} is not beside config.json")


def missing_weights(folder: Path) -> str | None:
    """The first weights file a checkpoint lacks, or None. No file is opened but the index."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return None if any(folder.glob("*.safetensors")) else "*.safetensors"
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index}: not an index of weights ({error})") from error
    return next((str(name) for name in sorted(shards) if not (folder / name).is_file()), None)

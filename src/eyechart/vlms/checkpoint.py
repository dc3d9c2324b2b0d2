"""Opening a checkpoint, and the base class of all local VLMs. Loads no torch when imported."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np

from eyechart.core.errors import InputError, one_line
from eyechart.core.files import is_dir
from eyechart.core.hooks import QUESTIONS_AT_ONCE, RunOption
from eyechart.core.types import Answer, Decoding, Json, Request
from eyechart.vlms.adapter_identity import adapter_component, require_version
from eyechart.vlms.backbone import Backbone
from eyechart.vlms.checkpoint_files import check_directory, count_parameters
from eyechart.vlms.devices import check_present
from eyechart.vlms.families import LOCAL_PACKAGES, known_vlms
from eyechart.vlms.hub import hub_revision, hub_snapshot, in_hub_cache
from eyechart.vlms.memory import budget_tokens, pick_device
from eyechart.vlms.options import checked_count
from eyechart.vlms.quiet import quiet
from eyechart.vlms.tokenizer import check_placeholder, load_tokenizer

if TYPE_CHECKING:
    from eyechart.vlms.local import Answerer

SetConditions: TypeAlias = Callable[
    [Sequence[tuple[str, str]]], None
]  # (codec, level) of each unit

_DTYPES = ("float32", "bfloat16", "float16")  # names in torch
_QUESTIONS_ON_GPU = 512  # with ten on each image, about one full batch
_IDENTITY_FILES = ("*.json", "*.jinja", "*.safetensors", "*.txt", "*.model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Source of the weights, and their dtype and device. model: hub id or directory."""

    model: str
    model_type: str
    dtype: str = "auto"
    device: str = "auto"

    @property
    def folder(self) -> Path | None:
        """The local directory, or None for a hub id. Raises InputError for neither."""
        path = Path(self.model).expanduser()
        if is_dir(path):
            return path
        if path.is_absolute() or self.model.startswith(".") or self.model.count("/") != 1:
            raise InputError(f"VLM {self.model!r}: neither a directory nor a hub id (owner/name)")
        return None

    @property
    def source(self) -> str:
        """Folder that transformers' `from_pretrained` is given; downloaded for a hub id."""
        return str(self.folder or hub_snapshot(self.model))

    @property
    def resolved_dtype(self) -> str:
        """`auto`: bfloat16 on a GPU, float32 on a CPU. Raises InputError: dtype, device."""
        device = pick_device(self.device)
        check_present(device)
        if self.dtype == "auto":
            return "float32" if device == "cpu" else "bfloat16"
        if self.dtype not in _DTYPES:
            raise InputError(f"dtype {self.dtype!r} is not one of auto, {', '.join(_DTYPES)}")
        return self.dtype


class Adapter(Protocol):
    """Protocol of a trained adapter that is attached to a VLM (see eyechart.adapters)."""

    @property
    def base_version(self) -> str:
        """Version of the VLM that it was trained for; "" if it is not known."""
        ...

    def check(self, family: str) -> None:
        """Refuse a VLM of a family that it was not made for, before weights are loaded.

        Raises InputError.
        """
        ...

    def attach(self, model: Any) -> None:
        """Change the transformers model in place, once, after its weights are loaded."""
        ...

    def set_conditions(self, conditions: Sequence[tuple[str, str]]) -> None:
        """Set the (codec, level) of each unit of the vision tower's next call, in order.

        A unit is an image, or a tile for towers that encode tiles (`backbone.PreparedImage.units`).
        """
        ...


class LocalVLM(ABC):
    """A VLM of a local family. Its first answer loads the weights.

    Raises:
        ModuleNotFoundError: torch or transformers is not installed.
    """

    run_options: ClassVar[tuple[RunOption, ...]] = ("device", "adapter")

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        family: str,
        name: str | None,
        own_options: Mapping[str, Json],
        budget_tokens: int | None,
        adapter: str | None,
    ) -> None:
        for package in LOCAL_PACKAGES:
            if find_spec(package) is None:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        if budget_tokens is not None:
            checked_count("budget_tokens", budget_tokens, or_else="null, or ")
        self.checkpoint = checkpoint
        self.family = family
        self.own_options = dict(own_options)
        self._name = name
        self._budget_tokens = budget_tokens
        self._adapter = adapter
        self._parent: Self | None = None

    @abstractmethod
    def build(self) -> tuple[Backbone, Any]:
        """Load the family's backbone and the transformers model behind it."""

    @cached_property
    def name(self) -> str:
        """The known name of its checkpoint, else the directory's name or the hub id."""
        if self._name is not None:
            return self._name
        for _, known in known_vlms():
            if self.checkpoint.model == known.hub_id:
                return known.name
        folder = self.checkpoint.folder
        return folder.resolve().name if folder else self.checkpoint.model

    @cached_property
    def version(self) -> str:
        """Identity of the weights: a digest of a directory's files, or the hub's revision.

        Raises:
            InputError: a directory of another family or without weights, an unknown hub id.
        """
        folder = self.checkpoint.folder
        if folder is None:
            return hub_revision(self.checkpoint.model)[:16]
        check_directory(folder, self.checkpoint.model_type)
        return directory_digest(folder)

    @property
    def options(self) -> Mapping[str, Json]:
        """Everything that can change an answer; device and batch size are not among it."""
        options: dict[str, Json] = {**self.own_options, "dtype": self.checkpoint.resolved_dtype}
        if self._adapter is not None:
            options["adapter"] = self._adapter_version
        return options

    @property
    def parameters(self) -> int | None:
        """Number of weights in the checkpoint's directory; None for a hub id."""
        folder = self.checkpoint.folder
        return None if folder is None else count_parameters(folder)

    @property
    def questions_at_once(self) -> int:
        """How many questions to pass in one call. On a GPU the engine makes batches that fill the
        memory, so it needs many questions."""
        on_gpu = pick_device(self.checkpoint.device).startswith(("cuda", "map"))
        return _QUESTIONS_ON_GPU if on_gpu else QUESTIONS_AT_ONCE

    @cached_property
    def _adapter_version(self) -> str:
        assert self._adapter is not None
        return adapter_component(self._adapter).version

    def _with(self, **own_options: Json) -> Self:
        """This VLM with other options, sharing the weights."""
        other = copy(self)
        for made_for_this in ("_loaded", "_answerer", "_set_conditions", "model"):
            other.__dict__.pop(made_for_this, None)
        other._parent = self
        other.own_options = {**self.own_options, **own_options}
        return other

    def _weights(self, model_class: Any) -> Any:
        """The transformers model for `build`: loaded, or that of the VLM that this is a copy of."""
        if self._parent is not None:
            return self._parent.model
        return load_model(self.checkpoint, model_class)

    def check(self) -> None:
        """Read all that is small: tokenizer, chat template and adapter.

        Weights are read only for an adapter of another checkpoint, because it fits if the vision
        towers are equal. A checkpoint of the hub is not downloaded for it. Raises InputError.
        """
        if (folder := self.checkpoint.folder) is not None:
            check_directory(folder, self.checkpoint.model_type)
            load_tokenizer(str(folder))
        if self._adapter is None:
            return
        adapter = open_adapter(self._adapter)
        adapter.check(self.family)
        is_here = folder is not None or in_hub_cache(self.checkpoint.model)
        if adapter.base_version != self.version and is_here:
            self._set_conditions  # noqa: B018 - attaches the adapter

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One list of answers for each request, in order. Raises VLMError, InputError."""
        return self._answerer.answer(requests, decoding)

    def visual_tokens(self, height_px: int, width_px: int) -> int:
        """Tokens of an image of that size, by the family's image processor. Raises VLMError."""
        return self.backbone.prepare(np.zeros((height_px, width_px, 3), np.uint8)).tokens

    @property
    def backbone(self) -> Backbone:
        """The family's backbone, loaded."""
        return self._loaded[0]

    @cached_property
    def model(self) -> Any:
        """The transformers model, loaded."""
        return self._loaded[1]

    @cached_property
    def _loaded(self) -> tuple[Backbone, Any]:
        source = self.checkpoint.source
        check_directory(Path(source), self.checkpoint.model_type)
        backbone, model = self.build()
        check_placeholder(backbone, source)
        return backbone, model

    @cached_property
    def _answerer(self) -> Answerer:
        from eyechart.vlms.local import Answerer

        backbone, model = self._loaded
        budget = self._budget_tokens or budget_tokens(model, patches_a_token=4, device=model.device)
        return Answerer(backbone, budget_tokens=budget, set_conditions=self._set_conditions)

    @cached_property
    def _set_conditions(self) -> SetConditions | None:
        """Attach the adapter, once to shared weights; None without an adapter."""
        if self._parent is not None:
            return self._parent._set_conditions
        if self._adapter is None:
            return None
        expected = self._adapter_version
        adapter = open_adapter(self._adapter)
        require_version(adapter_component(self._adapter).version, expected)
        adapter.attach(self.model)
        return adapter.set_conditions


def load_model(checkpoint: Checkpoint, model_class: Any) -> Any:
    """Weights from a directory or the hub, in evaluation mode on the wanted device.

    Raises:
        InputError: no such device, files that cannot be loaded, weights that are missing or of
            another shape.
    """
    import torch
    from safetensors import SafetensorError

    device = pick_device(checkpoint.device)
    placement = {"device_map": "auto"} if device == "map" else {}
    try:
        with quiet():
            model, found = model_class.from_pretrained(
                checkpoint.source,
                dtype=getattr(torch, checkpoint.resolved_dtype),
                attn_implementation="sdpa",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below in one line
                **placement,
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise InputError(f"{checkpoint.model}: cannot be loaded ({one_line(error)})") from error
    if found["missing_keys"]:
        # transformers would fill these with random numbers and only warn.
        missing = sorted(found["missing_keys"])
        raise InputError(f"{checkpoint.model}: {len(missing)} weights missing, first {missing[0]}")
    if found["mismatched_keys"]:
        name, stored, wanted = min(found["mismatched_keys"])
        raise InputError(
            f"{checkpoint.model}: {len(found['mismatched_keys'])} weights of another shape than "
            f"config.json says, first {name}: {tuple(stored)}, not {tuple(wanted)}"
        )
    model.eval().requires_grad_(False)
    return model if placement else model.to(device)


def load_image_processor(processor_class: Any, source: str, **options: Any) -> Any:
    """The checkpoint's image processor. Raises InputError.

    processor_class: the one that uses Pillow. The one that uses torchvision resizes differently,
    and answers must not depend on whether torchvision is installed.
    """
    try:
        return processor_class.from_pretrained(source, **options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{source}: image processor: {one_line(error)}") from error


def open_adapter(spec: str) -> Adapter:
    """An adapter by directory or name, through the entry point `open` of group `eyechart.adapters`.

    This package must not import eyechart.adapters, hence the entry point.

    Raises:
        InputError: not an adapter, or no adapter support installed.
    """
    points = entry_points(group="eyechart.adapters", name="open")
    if not points:
        raise InputError(f"adapter {spec!r}: adapter support is not installed")
    adapter: Adapter = next(iter(points)).load()(spec)
    return adapter


def directory_digest(folder: Path) -> str:
    """sha256 (16 hex digits) over names and contents of a checkpoint's files.

    Raises:
        InputError: the directory has no such files.
    """
    paths = sorted({path for pattern in _IDENTITY_FILES for path in folder.glob(pattern)})
    if not paths:
        raise InputError(f"{folder}: no checkpoint files (config.json, *.safetensors)")
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.name}:{content}\n".encode())
    return whole.hexdigest()[:16]

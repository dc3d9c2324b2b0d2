"""Networks whose features StableCodec's training compares: CLIP and DINOv2, of transformers.

| model | gives | published as |
| --- | --- | --- |
| CLIP (arXiv 2103.00020) | one vector for an image | openai/clip-vit-base-patch32 |
| DINOv2 with registers (arXiv 2309.16588) | maps of patches | facebook/dinov2-with-registers-base |

A model is a local folder or the id of a repository in the local cache of the Hugging Face hub.
Nothing is downloaded. Weights are fixed; gradients pass to the images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.generative.diffusion.base import (
    local_folder,
    need_diffusers,
    quiet,
    readable,
)
from eyechart.core.errors import CodecError, InputError, one_line
from eyechart.core.foreign import foreign_file

CLIP = "openai/clip-vit-base-patch32"
DINO = "facebook/dinov2-with-registers-base"
_CODEC = "stablecodec"
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_DINO_MEAN, _DINO_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_DINO_PX = 224  # side of what DINOv2 gets


class ClipEmbedding:
    """The distance of images in CLIP's space: of vectors of length 1, from 0 to 2."""

    def __init__(self, place: str, device: torch.device) -> None:
        need_diffusers(_CODEC)
        from transformers import CLIPVisionModelWithProjection

        self._model = _load(
            CLIPVisionModelWithProjection,
            place or CLIP,
            "CLIP",
            ("clip", "clip_vision_model"),
            CLIP,
        ).to(device)
        self._side: int = self._model.config.image_size

    def distance(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """The mean distance of images (batch, 3, height, width) in 0..1."""
        with torch.no_grad():
            wanted = self._embedded(x)
        found: Tensor = torch.linalg.vector_norm(self._embedded(x_hat) - wanted, dim=1).mean()
        return found

    def _embedded(self, x: Tensor) -> Tensor:
        size = (self._side, self._side)
        small = F.interpolate(x, size, mode="bilinear", antialias=True)
        found: Tensor = self._model(_normalized(small, _CLIP_MEAN, _CLIP_STD)).image_embeds
        return F.normalize(found, dim=1)


class DinoFeatures:
    """Maps of DINOv2 after blocks 5 and 9 of 12, and its last summary of the image. Of another
    number of blocks: one block after a third and after two thirds of them.

    Called with images (batch, 3, height, width) in 0..1, it gives two maps (batch, width, side,
    side) and a tensor (batch, width), all normalized by the model's last layer.
    """

    def __init__(self, place: str, device: torch.device) -> None:
        need_diffusers(_CODEC)
        from transformers import Dinov2WithRegistersModel

        self._model = _load(
            Dinov2WithRegistersModel, place or DINO, "DINOv2", ("dinov2_with_registers",), DINO
        ).to(device)

    @property
    def width(self) -> int:
        """Channels of the features."""
        return int(self._model.config.hidden_size)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        config = self._model.config
        blocks, side = config.num_hidden_layers, _DINO_PX // config.patch_size
        small = F.interpolate(x, (_DINO_PX, _DINO_PX), mode="area")
        states = self._model(
            _normalized(small, _DINO_MEAN, _DINO_STD), output_hidden_states=True
        ).hidden_states
        places = (blocks // 3 + 1, 2 * blocks // 3 + 1, blocks)  # 5, 9 and 12 of 12
        first, second, last = (self._model.layernorm(states[place]) for place in places)
        extra = 1 + config.num_register_tokens
        maps = [
            one[:, extra:].transpose(1, 2).unflatten(2, (side, side)) for one in (first, second)
        ]
        return maps[0], maps[1], last[:, 0]


def _normalized(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]


def _load(model_class: Any, place: str, name: str, kinds: tuple[str, ...], example: str) -> Any:
    """A model of transformers in float32 on the CPU.

    Raises:
        PluginError: the model is not there.
        InputError: a model of another kind. CodecError: damaged weights.
    """
    wanted = f"wanted is a {name} in transformers format, such as {example} on the hub"
    folder = local_folder(place, name, wanted, example=example, codec=_CODEC)
    found = _kind(folder)
    if found not in kinds:
        raise InputError(f"{_CODEC}: {folder} is no {name} (model_type {found}); {wanted}")
    with quiet(), readable(folder, _CODEC):
        # A file of torch is read by its safe loader: not all published weights are safetensors.
        model, about = model_class.from_pretrained(
            str(folder),
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
    missing = sorted(about["missing_keys"])
    if missing:
        raise CodecError(f"{folder}: lacks weights, such as {missing[0]}", codec=_CODEC)
    assert isinstance(model, nn.Module)
    return model.eval().requires_grad_(False)


def _kind(folder: Path) -> str:
    """`model_type` of a folder's configuration; "none" without one."""
    path = folder / "config.json"
    if not path.is_file():
        return "none"
    with foreign_file(path, "a configuration of transformers"):
        return one_line(str(json.loads(path.read_text(encoding="utf-8")).get("model_type")))

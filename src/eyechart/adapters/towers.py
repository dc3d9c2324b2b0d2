"""The vision towers of three families, seen alike: where conditions go in, and how to run them.

    Qwen2.5-VL   patches of all pictures in one row -> blocks -> merger (inside the tower)
    InternVL     tiles (n, 3, H, W) -> blocks -> pixel shuffle -> projector
    Janus        squares (n, 3, H, W) -> blocks -> aligner

A `unit` is what the tower sees as one picture: for InternVL a tile, for the others the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eyechart.core.errors import InputError
from eyechart.vlms.vision_windows import batch_windows


@dataclass(frozen=True, slots=True, kw_only=True)
class NormSite:
    """A norm that AdaLN modulates, and the linear layers that read its output and nothing else.

    repeat: how many norm outputs stand side by side in one input of theirs (Qwen's merger: 4).
    """

    name: str
    norm: nn.Module
    readers: tuple[nn.Linear, ...]
    repeat: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """One family's vision tower.

    module: the encoder (what is trained). prefix: its place in the model's state dict.
    patches: the module whose output are patch embeddings. patch_conv: the convolution in it.
    rotary: makes (cos, sin) of the patches, or None. head_dim: of one attention head.
    channels_first: the patch module's output is (n, W, h, w) instead of (..., W).
    """

    family: str
    prefix: str
    module: nn.Module
    width: int
    head_dim: int
    norms: tuple[NormSite, ...]
    patches: nn.Module
    patch_conv: nn.Module
    channels_first: bool
    rotary: nn.Module | None
    run: Callable[[Mapping[str, Tensor]], Tensor]

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """What the language model sees: (visual tokens of all units, W), after the projector.

        inputs: `pixel_values`, and for Qwen `grid` (n, 3).
        """
        return self.run(inputs)

    def token_counts(self, inputs: Mapping[str, Tensor]) -> list[int]:
        """How the rows of one packed input, or equal shares of the features, belong to units."""
        if "grid" not in inputs:
            return [1] * len(inputs["pixel_values"])
        return [int(n) for n in inputs["grid"].prod(-1)]


def tower_of(model: Any) -> Tower:
    """The tower of a transformers model. Raises InputError for a family that is not supported."""
    makers = {"qwen2_5_vl": _qwen, "internvl": _internvl, "janus": _janus}
    family = getattr(model.config, "model_type", type(model).__name__)
    if family not in makers:
        raise InputError(
            f"no adapter for models of family {family!r}; allowed: {', '.join(makers)}"
        )
    return makers[family](model)


def pictures_of(inputs: Mapping[str, Tensor], tower: Tower) -> list[Tensor]:
    """The pixels of each unit as (3, H, W), normalised as the tower gets them."""
    pixels = inputs["pixel_values"]
    if "grid" not in inputs:
        return list(pixels)
    config: Any = tower.module.config
    merge, size = config.spatial_merge_size, config.patch_size
    found = []
    parts = torch.split(pixels, tower.token_counts(inputs))
    for (_, rows, columns), patches in zip(inputs["grid"].tolist(), parts, strict=True):
        # Patches come merge block by merge block; a still picture fills both frames alike.
        frame = patches[: rows * columns].view(
            *(rows // merge, columns // merge, merge, merge),
            -1,
            config.temporal_patch_size,
            size,
            size,
        )[:, :, :, :, :, 0]
        found.append(frame.permute(4, 0, 2, 5, 1, 3, 6).reshape(-1, rows * size, columns * size))
    return found


def _qwen(model: Any) -> Tower:
    visual = model.model.visual
    batch_windows(visual)
    sites: list[NormSite] = []
    for index, block in enumerate(visual.blocks):
        sites.append(_site(f"blocks.{index}.norm1", block.norm1, block.attn.qkv))
        mlp = (block.mlp.gate_proj, block.mlp.up_proj)
        sites.append(_site(f"blocks.{index}.norm2", block.norm2, *mlp))
    merged = visual.spatial_merge_size**2
    sites.append(_site("merger.ln_q", visual.merger.ln_q, visual.merger.mlp[0], repeat=merged))

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        from transformers.vision_utils import get_vision_cu_seqlens, get_vision_window_index

        grid = inputs["grid"].cpu()
        index, borders = get_vision_window_index(
            grid, visual.spatial_merge_size, visual.window_size, visual.patch_size
        )
        # Borders stay on the CPU: the batched attention reads them as numbers in every layer.
        features: Tensor = visual(
            inputs["pixel_values"],
            grid_thw=inputs["grid"],
            cu_seqlens=get_vision_cu_seqlens(grid),
            window_index=index.to(inputs["grid"].device),
            cu_window_seqlens=borders,
        ).pooler_output
        return features

    return Tower(
        family="qwen2_5_vl",
        prefix="model.visual",
        module=visual,
        width=visual.config.hidden_size,
        head_dim=visual.config.hidden_size // visual.config.num_heads,
        norms=tuple(sites),
        patches=visual.patch_embed,
        patch_conv=visual.patch_embed.proj,
        channels_first=False,
        rotary=visual.rotary_pos_emb,
        run=run,
    )


def _internvl(model: Any) -> Tower:
    vision = model.model.vision_tower
    sites: list[NormSite] = []
    for index, layer in enumerate(vision.encoder.layer):
        attention, name = layer.attention, f"encoder.layer.{index}"
        qkv = (attention.q_proj, attention.k_proj, attention.v_proj)
        sites.append(_site(f"{name}.layernorm_before", layer.layernorm_before, *qkv))
        sites.append(_site(f"{name}.layernorm_after", layer.layernorm_after, layer.mlp.fc1))
    if not isinstance(vision.layernorm, nn.Identity):
        sites.append(_site("layernorm", vision.layernorm))
    conv = vision.embeddings.patch_embeddings.projection
    return Tower(
        family="internvl",
        prefix="model.vision_tower",
        module=vision,
        width=vision.config.hidden_size,
        head_dim=vision.config.hidden_size // vision.config.num_attention_heads,
        norms=tuple(sites),
        patches=conv,
        patch_conv=conv,
        channels_first=True,
        rotary=None,
        run=lambda inputs: _flat(model.model.get_image_features(inputs["pixel_values"])),
    )


def _janus(model: Any) -> Tower:
    vision = model.model.vision_model
    sites: list[NormSite] = []
    for index, layer in enumerate(vision.encoder.layers):
        attention, name = layer.self_attn, f"encoder.layers.{index}"
        qkv = (attention.q_proj, attention.k_proj, attention.v_proj)
        sites.append(_site(f"{name}.layer_norm1", layer.layer_norm1, *qkv))
        sites.append(_site(f"{name}.layer_norm2", layer.layer_norm2, layer.mlp.fc1))
    sites.append(_site("post_layernorm", vision.post_layernorm))
    conv = vision.embeddings.patch_embedding
    return Tower(
        family="janus",
        prefix="model.vision_model",
        module=vision,
        width=vision.config.hidden_size,
        head_dim=vision.config.hidden_size // vision.config.num_attention_heads,
        norms=tuple(sites),
        patches=conv,
        patch_conv=conv,
        channels_first=True,
        rotary=None,
        run=lambda inputs: _flat(model.model.get_image_features(inputs["pixel_values"])),
    )


def _site(name: str, norm: nn.Module, *readers: nn.Linear, repeat: int = 1) -> NormSite:
    return NormSite(name=name, norm=norm, readers=readers, repeat=repeat)


def _flat(output: Any) -> Tensor:
    features: Tensor = output.pooler_output
    return features.flatten(0, 1)


def add_to_bias(layer: nn.Module, offset: Tensor) -> None:
    """bias += offset in float32 or wider, then cast once. The layer must have a bias."""
    bias = layer.bias
    assert isinstance(bias, nn.Parameter)
    wide = torch.promote_types(bias.dtype, torch.float32)
    with torch.no_grad():
        bias.copy_((bias.to(wide) + offset.to(wide)).to(bias.dtype))

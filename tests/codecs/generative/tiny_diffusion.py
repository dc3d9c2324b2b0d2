"""A tiny Stable Diffusion 2.x in diffusers format, of the same classes as the real one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from eyechart.codecs.generative.diffusion.base import BaseKind

WIDTHS = (8, 16, 16, 16)
TEXT = 16
TINY = BaseKind(
    name="a tiny model",
    variable="EYECHART_TINY_BASE",
    copies=("nobody/tiny",),
    widths=WIDTHS,
    text=TEXT,
)


def write_base(
    folder: Path, *, text: int = TEXT, prediction: str = "epsilon", seed: int = 5
) -> Path:
    """A base model with random weights; the same for the same arguments."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=WIDTHS,
        layers_per_block=2,
        down_block_types=(*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        cross_attention_dim=text,
        attention_head_dim=(1, 2, 2, 2),
        norm_num_groups=2,
        use_linear_projection=True,
    )
    unet.save_pretrained(folder / "unet")
    vae = AutoencoderKL(
        block_out_channels=(4, 8, 8, 8),
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=64,
    )
    vae.save_pretrained(folder / "vae")
    config = CLIPTextConfig(
        vocab_size=260,
        hidden_size=text,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=20,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=0,
    )
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
    ).save_pretrained(folder / "scheduler")
    _write_tokenizer(folder / "tokenizer")
    return folder


def write_clip(folder: Path) -> Path:
    """A CLIP with random weights, for images of 32x32."""
    torch.manual_seed(7)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=8,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def write_dino(folder: Path) -> Path:
    """A DINOv2 with registers, of three blocks, with random weights."""
    torch.manual_seed(8)
    config = Dinov2WithRegistersConfig(
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        mlp_ratio=1,
        image_size=28,
        patch_size=14,
    )
    Dinov2WithRegistersModel(config).save_pretrained(folder)
    return folder


def _write_tokenizer(folder: Path) -> None:
    folder.mkdir()
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: place for place, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "!",
        "model_max_length": 20,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))

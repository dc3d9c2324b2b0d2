"""Tiny random InternVL and Janus checkpoints: real configurations, processors and templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchmarks.random_vlm import make_answers_vary, save_tokenizer

_INTERNVL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>"]
_INTERNVL_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{% if part.type == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_JANUS_TEMPLATE = (
    "{% for message in messages %}<|User|>: {% for part in message.content %}"
    "{% if part.type == 'image' %}<image_placeholder>{{ '\n' }}"
    "{% else %}{{ part.text.strip() }}{% endif %}{% endfor %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|>:{% endif %}"
)


def save_internvl(folder: Path) -> Path:
    """Tiles of 56x56, 4 tokens each."""
    from transformers import (
        GotOcr2ImageProcessorPil,
        InternVLConfig,
        InternVLForConditionalGeneration,
    )

    tokenizer = save_tokenizer(
        folder,
        [*_INTERNVL_TOKENS, "<IMG_CONTEXT>"],
        512,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=_INTERNVL_TEMPLATE,
        extra_special_tokens={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    )
    GotOcr2ImageProcessorPil(
        size={"height": 56, "width": 56}, image_mean=[0.485, 0.456, 0.406]
    ).save_pretrained(folder)
    config = InternVLConfig(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "image_size": (56, 56),
        },
        text_config={**_text(tokenizer, "<|im_end|>", "<|endoftext|>"), "model_type": "qwen2"},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    return _save(InternVLForConditionalGeneration, config, tokenizer, "<|im_end|>", folder)


def save_janus(folder: Path) -> Path:
    """Squares of 32x32, 16 tokens each; a tokenizer that begins every text, as Janus's does."""
    from tokenizers.processors import TemplateProcessing
    from transformers import JanusConfig, JanusForConditionalGeneration, JanusImageProcessorPil

    bos, eos = "<|begin|>", "<|end|>"
    special = [bos, eos, "<|User|>", "<|Assistant|>"]
    image = ["<image_placeholder>", "<begin_of_image>", "<end_of_image>"]
    tokenizer = save_tokenizer(
        folder,
        [*special, *image],
        512,
        bos_token=bos,
        eos_token=eos,
        pad_token=eos,
        chat_template=_JANUS_TEMPLATE,
        extra_special_tokens=dict(
            zip(("image_token", "boi_token", "eoi_token"), image, strict=True)
        ),
    )
    begins = [(bos, tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=begins
    )
    tokenizer.save_pretrained(folder)
    JanusImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    config = JanusConfig(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "projection_dim": 64,
            "num_image_tokens": 16,
        },
        text_config={**_text(tokenizer, eos, eos), "model_type": "llama"},
        vq_config={
            "base_channels": 32,
            "channel_multiplier": [1, 1],
            "num_embeddings": 16,
            "projection_dim": 16,
            "image_token_embed_dim": 64,
            "latent_channels": 8,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image_placeholder>"),
        tie_word_embeddings=False,
    )
    return _save(JanusForConditionalGeneration, config, tokenizer, eos, folder)


def _text(tokenizer: Any, eos: str, pad: str) -> dict[str, Any]:
    return {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "eos_token_id": tokenizer.convert_tokens_to_ids(eos),
        "pad_token_id": tokenizer.convert_tokens_to_ids(pad),
    }


def _save(model_class: Any, config: Any, tokenizer: Any, eos: str, folder: Path) -> Path:
    torch.manual_seed(0)
    model = model_class(config)
    make_answers_vary(model)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(eos)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    return folder

"""Random checkpoints with the real configuration classes, saved as local directories.

Pretrained weights cannot be downloaded where this project is developed. Speed and exactness do not
depend on the weights, so benchmarks and tests use checkpoints of any size with real configuration,
image processor and tokenizer classes, a chat template and random weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_SENTENCES = [
    "Is there a dog in the image? Please answer yes or no.",
    "What colour is the umbrella on the left side of the red car?",
    "How many people are sitting at the table? A. one B. two C. three D. four",
    "Question: Options: Please select the correct answer from the options above.",
    "Describe this image in general. Directly provide the description, do not include a prefix.",
    "You are a helpful assistant. user assistant system no yes",
]

_QWEN_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{% if part.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_QWEN_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class QwenSize:
    """Shape of a Qwen2.5-VL. The defaults are about those of `eyechart-mini`."""

    vision_depth: int = 6
    vision_width: int = 192
    vision_heads: int = 6
    vision_mlp: int = 512
    full_attention_blocks: tuple[int, ...] = (2, 5)
    layers: int = 3
    width: int = 256
    mlp: int = 768
    heads: int = 8
    kv_heads: int = 4
    vocabulary: int = 512


QWEN_SIZES = {
    "test": QwenSize(
        vision_depth=2,
        vision_width=48,
        vision_heads=2,
        vision_mlp=64,
        full_attention_blocks=(1,),
        layers=2,
        width=64,
        mlp=96,
        heads=4,
        kv_heads=2,
    ),
    "mini": QwenSize(),
    "3b": QwenSize(
        vision_depth=32,
        vision_width=1280,
        vision_heads=16,
        vision_mlp=3420,
        full_attention_blocks=(7, 15, 23, 31),
        layers=36,
        width=2048,
        mlp=11008,
        heads=16,
        kv_heads=2,
        vocabulary=151936,
    ),
}


def save_tokenizer(folder: Path, special: list[str], vocabulary: int, **roles: Any) -> Any:
    """A byte-level BPE trained on a few sentences, saved as a Qwen2Tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=min(vocabulary, 480) - len(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(_SENTENCES, trainer)
    model: dict[str, Any] = json.loads(trained.to_str())["model"]
    merges: Any = [tuple(pair) for pair in model["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=merges,
        additional_special_tokens=special,
        **roles,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_qwen2_5_vl(
    folder: Path, size: QwenSize, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Path:
    """Write a random Qwen2.5-VL checkpoint (config, weights, tokenizer, image processor)."""
    from transformers import Qwen2VLImageProcessorPil

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = save_tokenizer(
        folder,
        _QWEN_TOKENS,
        size.vocabulary,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=_QWEN_TEMPLATE,
    )
    most = 16384 * 28 * 28  # as Qwen released it
    Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=most).save_pretrained(folder)
    model = random_qwen2_5_vl(size, tokenizer, seed=seed, dtype=dtype)
    model.save_pretrained(folder)
    return folder


def random_qwen2_5_vl(
    size: QwenSize, tokenizer: Any, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Any:
    """The model alone, for sizes that are too large to write to disk."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    token = tokenizer.convert_tokens_to_ids
    head = size.width // size.heads // 2
    section = [head - 2 * (3 * head // 8), 3 * head // 8, 3 * head // 8]
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": size.vision_depth,
            "hidden_size": size.vision_width,
            "num_heads": size.vision_heads,
            "intermediate_size": size.vision_mlp,
            "fullatt_block_indexes": list(size.full_attention_blocks),
            "out_hidden_size": size.width,
            "window_size": 112,
        },
        text_config={
            "vocab_size": size.vocabulary,
            "hidden_size": size.width,
            "intermediate_size": size.mlp,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.kv_heads,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1_000_000.0,
                "mrope_section": section,
            },
            "bos_token_id": None,
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model: Any = Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    make_answers_vary(model)
    model.generation_config.eos_token_id = [token("<|im_end|>"), token("<|endoftext|>")]
    model.generation_config.pad_token_id = token("<|endoftext|>")
    return model.eval()


def make_answers_vary(model: Any) -> None:
    """Scale random weights up until answers vary with the image and with every token before them.

    As initialised, a random transformer repeats one token for any question, so that all ways of
    decoding agree.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                fan_in = parameter[0].numel()
                parameter.normal_(0, 1.5 / fan_in**0.5)

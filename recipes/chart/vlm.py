"""The built-in VLM's architecture, tokenizer and image processor: Qwen2.5-VL, small.

All classes are those of transformers with a small configuration, so what works with this model also
works with Qwen2.5-VL-3B.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from recipes.chart.scene import SIZE_PX

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

# Qwen's chat format without its system message: a model of 6 M parameters does not need one.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_tokenizer(texts: Iterable[str], vocab_size: int = 1280) -> Qwen2Tokenizer:
    """Byte-level BPE, learned from the prompts and answers.

    Upper-case words and digits, as on signs, are left out of the merges. They stay one token per
    letter, so that unseen words can be read.
    """
    lower_case = (re.sub(r"\b[A-Z0-9]{2,}\b", " ", text) for text in texts)
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trained.decoder = decoders.ByteLevel()
    trained.train_from_iterator(
        lower_case,
        trainers.BpeTrainer(
            vocab_size=vocab_size - len(SPECIAL),
            min_frequency=3,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    model = json.loads(trained.to_str())["model"]
    merges: Any = [tuple(pair) for pair in model["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL[1:]),
        model_max_length=4096,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_image_processor() -> Qwen2VLImageProcessorPil:
    """Qwen2.5-VL's image processor (its PIL form needs no torchvision).

    Images keep their size up to 448 x 448.
    """
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": 56 * 56, "longest_edge": 4 * SIZE_PX * SIZE_PX}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VlmSize:
    """What differs between the sizes of the VLM. All heads have 32 dimensions."""

    width: int  # of the language model
    ffn: int
    layers: int
    vision_width: int
    vision_ffn: int


SIZES: dict[str, VlmSize] = {  # about 2, 7 and 16 M parameters
    "s": VlmSize(width=128, ffn=352, layers=4, vision_width=96, vision_ffn=288),
    "m": VlmSize(width=256, ffn=704, layers=4, vision_width=192, vision_ffn=576),
    "l": VlmSize(width=384, ffn=1056, layers=5, vision_width=256, vision_ffn=768),
}
HEAD_DIM = 32


def build_model(
    tokenizer: Any, size: str = "m", seed: int = 0
) -> Qwen2_5_VLForConditionalGeneration:
    """The architecture of a size ("s", "m" or "l") with random weights, float32."""
    import torch

    of = SIZES[size]

    torch.manual_seed(seed)
    token_id = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 8 * ((len(tokenizer) + 7) // 8),
            "hidden_size": of.width,
            "intermediate_size": of.ffn,
            "num_hidden_layers": of.layers,
            "num_attention_heads": of.width // HEAD_DIM,
            "num_key_value_heads": of.width // HEAD_DIM,
            "max_position_embeddings": 4096,
            # M-RoPE gives columns the lowest frequencies. With Qwen's base of 10^6 their angles are
            # almost equal over 8 visual tokens, so left and right cannot be distinguished. With too
            # small a base no dimension changes slowly, and words far from the image cannot attend
            # to it.
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 200.0,
                "mrope_section": [2, 5, 9],
            },
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": token_id("<|im_end|>"),
            "pad_token_id": token_id("<|endoftext|>"),
        },
        vision_config={
            "depth": 6,
            "hidden_size": of.vision_width,
            "intermediate_size": of.vision_ffn,
            "num_heads": of.vision_width // HEAD_DIM,
            "patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [2, 5],
            "out_hidden_size": of.width,
        },
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.do_sample = False
    model.generation_config.eos_token_id = token_id("<|im_end|>")
    model.generation_config.pad_token_id = token_id("<|endoftext|>")
    return model

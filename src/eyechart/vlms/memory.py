"""Number of tokens in a batch, from the free memory; halved after out-of-memory errors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# A larger batch is not faster: the matrix products already use the whole device.
_MOST_TOKENS_CUDA = 65_536
_MOST_TOKENS_CPU = 4_096
_SHARE_OF_FREE_MEMORY = 0.5


def pick_device(wanted: str) -> str:
    """`auto` becomes the first CUDA device if there is one, else the CPU."""
    if wanted != "auto":
        return wanted
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def budget_tokens(model: Any, *, patches_a_token: int, device: torch.device) -> int:
    """Key slots that a batch may have on this device, from a rough count of bytes per token.

    patches_a_token: vision-tower tokens for each token of the language model.
    """
    import torch

    text, vision = model.config.text_config, model.config.vision_config
    size = model.dtype.itemsize
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    cache = 2 * text.num_hidden_layers * text.num_key_value_heads * head * size
    activations = (4 * text.intermediate_size + 12 * text.hidden_size) * size
    seen = patches_a_token * 24 * vision.hidden_size * size
    if device.type == "cuda":
        free, most = torch.cuda.mem_get_info(device)[0], _MOST_TOKENS_CUDA
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        most = _MOST_TOKENS_CPU
    return int(max(1, min(most, _SHARE_OF_FREE_MEMORY * free / (cache + activations + seen))))

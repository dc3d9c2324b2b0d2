"""Where a picture's tokens stand among a prompt's, for families that need nothing special."""

from __future__ import annotations

import torch
from torch import Tensor

from eyechart.core.errors import VLMError
from eyechart.vlms.shared_prefix import TextModel


def expand_placeholder(ids: list[int], placeholder: int, tokens: list[int]) -> list[int]:
    """Put `tokens` where the chat template left its one placeholder.

    Raises:
        VLMError: the template left none, or the prompt's text brought another one.
    """
    if ids.count(placeholder) != 1:
        raise VLMError(
            f"the chat template made {ids.count(placeholder)} image placeholders, 1 is needed"
        )
    at = ids.index(placeholder)
    return ids[:at] + tokens + ids[at + 1 :]


def embed_with_image(model: TextModel, ids: list[int], image_id: int, features: Tensor) -> Tensor:
    """Input embeddings (N, W) of ids, with the features (tokens, W) where ids are `image_id`.

    On the device of the embeddings: spread over GPUs, the vision tower may end on another one.
    """
    hidden: Tensor = model.embed_tokens(torch.tensor(ids, device=features.device))
    is_image = torch.tensor(ids, device=hidden.device) == image_id
    hidden[is_image] = features.to(hidden.device, hidden.dtype)
    return hidden


def counting_positions(ids: list[int], device: torch.device) -> tuple[Tensor, int]:
    """One axis, one step a token, images included."""
    return torch.arange(len(ids), device=device)[None, :], len(ids)

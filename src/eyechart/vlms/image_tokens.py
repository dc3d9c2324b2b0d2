"""Image tokens and positions in a prompt, for most families. Loads no torch when imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eyechart.core.errors import VLMError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from eyechart.vlms.backbone import PreparedImage
    from eyechart.vlms.shared_prefix import TextModel


def expand_placeholder(ids: list[int], placeholder: int, tokens: list[int]) -> list[int]:
    """Replace the one placeholder of the chat template by `tokens`.

    Raises:
        VLMError: there is no placeholder, or the text of the prompt contains another one.
    """
    if ids.count(placeholder) != 1:
        raise VLMError(
            f"the chat template made {ids.count(placeholder)} image placeholders, 1 is needed"
        )
    at = ids.index(placeholder)
    return ids[:at] + tokens + ids[at + 1 :]


def embed_with_image(model: TextModel, ids: list[int], image_id: int, features: Tensor) -> Tensor:
    """Input embeddings (N, W) of ids, with the features (tokens, W) where ids are `image_id`.

    The result is on the device of the embeddings, which may not be that of the vision tower.
    """
    import torch

    hidden: Tensor = model.embed_tokens(torch.tensor(ids, device=features.device))
    is_image = torch.tensor(ids, device=hidden.device) == image_id
    hidden[is_image] = features.to(hidden.device, hidden.dtype)
    return hidden


class BorderedImage:
    """An image's tokens between two border tokens; positions count all tokens.

    model: the text model. image_id: the placeholder of the chat template. borders: ids of the
    tokens before and after the image.
    """

    def __init__(
        self, model: TextModel, image_id: int, borders: Sequence[int], device: torch.device
    ) -> None:
        self._model, self._image_id, self._device = model, image_id, device
        self._start, self._end = borders

    def expand(self, ids: list[int], image: PreparedImage) -> list[int]:
        """The border tokens, and between them one image token for each feature."""
        tokens = [self._start, *[self._image_id] * image.tokens, self._end]
        return expand_placeholder(ids, self._image_id, tokens)

    def embed(self, ids: list[int], features: Tensor) -> Tensor:
        """Token embeddings with the visual tokens in place."""
        return embed_with_image(self._model, ids, self._image_id, features)

    def positions(self, ids: list[int], image: PreparedImage) -> tuple[Tensor, int]:
        """Positions (1, N) that count all tokens, images included, and the next position."""
        import torch

        return torch.arange(len(ids), device=self._device)[None, :], len(ids)

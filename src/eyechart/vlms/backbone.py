"""What a family's backbone offers to the engine that answers questions. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from eyechart.core.types import Rgb8

if TYPE_CHECKING:
    from torch import Tensor

    from eyechart.vlms.shared_prefix import TextModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a family's image processor made of one image.

    inputs: tensors for the vision tower. tokens: how many the language model will see. units: as
    how many images the tower sees it (tiles).
    """

    inputs: dict[str, Tensor]
    tokens: int
    units: int = 1

    @property
    def size_bytes(self) -> int:
        """Memory that the tensors hold."""
        return sum(tensor.nbytes for tensor in self.inputs.values())


class Backbone(Protocol):
    """What a family brings: how it prepares, places and encodes images, and its parts."""

    tokenizer: Any
    text_model: TextModel
    head: Any
    stop: frozenset[int]
    context_tokens: int

    def picture(self, rgb8: Rgb8) -> Picture:
        """Resize, cut and normalise one image (CPU). Raises VLMError for shapes it cannot take."""
        ...

    def text(self, prompt: str) -> str:
        """The chat template around one prompt, with one image placeholder, ready to tokenize."""
        ...

    def expand(self, ids: list[int], picture: Picture) -> list[int]:
        """Replace the one placeholder by as many tokens as the image has."""
        ...

    def embed(self, ids: list[int], features: Tensor) -> Tensor:
        """Input embeddings (N, W) of a prefix, with the image's features in place."""
        ...

    def positions(self, ids: list[int], picture: Picture) -> tuple[Tensor, int]:
        """Rotary positions (axes, N) of a prefix, and the position of the token behind it."""
        ...

    def encode(self, pictures: Sequence[Picture]) -> list[Tensor]:
        """Image features, (tokens, W) each."""
        ...

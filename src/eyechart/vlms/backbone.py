"""Protocol of a family's backbone, for the engine that answers questions. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from eyechart.core.types import Rgb8

if TYPE_CHECKING:
    from torch import Tensor

    from eyechart.vlms.shared_prefix import TextModel


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage:
    """One image, prepared by a family's image processor.

    inputs: tensors for the vision tower. tokens: number of visual tokens for the language model.
    units: number of images that the tower encodes (tiles of InternVL, else 1).
    """

    inputs: dict[str, Tensor]
    tokens: int
    units: int = 1

    @property
    def size_bytes(self) -> int:
        """Memory that the tensors hold."""
        return sum(tensor.nbytes for tensor in self.inputs.values())


class Backbone(Protocol):
    """How a family prepares and encodes images, where their tokens go, and its modules."""

    tokenizer: Any
    text_model: TextModel
    head: Any
    stop: frozenset[int]
    context_tokens: int

    def prepare(self, rgb8: Rgb8) -> PreparedImage:
        """Resize, cut and normalise one image (CPU). Raises VLMError for shapes it cannot take."""
        ...

    def text(self, prompt: str) -> str:
        """The chat template around one prompt, with one image placeholder, ready to tokenize."""
        ...

    def expand(self, ids: list[int], image: PreparedImage) -> list[int]:
        """Replace the placeholder by the image's tokens."""
        ...

    def embed(self, ids: list[int], features: Tensor) -> Tensor:
        """Input embeddings (N, W) of a prefix, with the image's features in place."""
        ...

    def positions(self, ids: list[int], image: PreparedImage) -> tuple[Tensor, int]:
        """Rotary positions (axes, N) of a prefix, and the position of the next token."""
        ...

    def encode(self, images: Sequence[PreparedImage]) -> list[Tensor]:
        """Image features, (tokens, W) each."""
        ...

"""The built-in VLMs: small Qwen2.5-VLs, trained from scratch on the built-in chart's scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from eyechart.core.errors import InputError
from eyechart.core.types import Answer, Decoding, Request
from eyechart.vlms.qwen2_5_vl import Pixels, Qwen25VL
from eyechart.zoo import weights_dir


class EyechartMini(Qwen25VL):
    """Qwen2.5-VL's architecture with 7 million parameters; the weights ship with the package.

    model: another directory of the same architecture, for example a fresh training run.
    """

    _built_in: ClassVar[str] = "eyechart-mini"  # of the VLM and of its weights

    def __init__(
        self,
        model: str | None = None,
        *,
        min_pixels: Pixels = None,
        max_pixels: Pixels = None,
        dtype: str = "float32",
        device: str = "auto",
        budget_tokens: int | None = None,
        adapter: str | None = None,
    ) -> None:
        super().__init__(
            str(weights_dir(self._built_in)) if model is None else model,
            name=self._built_in,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            dtype=dtype,
            device=device,
            budget_tokens=budget_tokens,
            adapter=adapter,
        )

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One list of answers for each request, in order.

        Raises:
            InputError: choice-set decoding. The model was trained to name the object first
                ("star. Yes") and to answer with an option's text, so its first token is never the
                choice.
        """
        if decoding.choice_set:
            raise InputError(
                f"{self.name} begins answers with other words than the choices, so that choice-set "
                "decoding is impossible; allowed: free answers"
            )
        return super().answer(requests, decoding)


class EyechartMiniS(EyechartMini):
    """The same with 2 million parameters."""

    _built_in = "eyechart-mini-s"


class EyechartMiniL(EyechartMini):
    """The same with 16 million parameters."""

    _built_in = "eyechart-mini-l"

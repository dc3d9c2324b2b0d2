"""Janus-Pro: any checkpoint of transformers' `JanusForConditionalGeneration`.

    image -> padded to a square, 384x384 -> SigLIP -> MLP -> 576 tokens -> Llama

Chen et al., Janus-Pro, arXiv:2501.17811. Image generation is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eyechart.core.prompts import (
    ANSWER_BY_LETTER,
    SHORT_ANSWER,
    PromptStyle,
    option_lines,
)
from eyechart.core.types import Json, Question, Rgb8
from eyechart.vlms.backbone import Backbone, PreparedImage
from eyechart.vlms.checkpoint import Checkpoint, LocalVLM, load_image_processor
from eyechart.vlms.families import Family, KnownVLM
from eyechart.vlms.image_tokens import BorderedImage
from eyechart.vlms.options import checked_text
from eyechart.vlms.tokenizer import load_tokenizer, stop_ids

if TYPE_CHECKING:
    from torch import Tensor

    from eyechart.vlms.towers import NormSite, Tower

MODEL_TYPE = "janus"
_PLEASE = " Please answer yes or no."  # the end of POPE's questions


class Janus(LocalVLM):
    """Janus-Pro 1B, 7B, or any checkpoint of that architecture.

    model: hub id (the converted ones of deepseek-community) or directory.
    system: system message; empty for none, as VLMEvalKit runs it.
    vlmevalkit: True: the roles `User` and `Assistant` of DeepSeek's own code, and image sides that
        are cut to whole pixels, as VLMEvalKit runs it. False: the checkpoint's chat template, and
        sides that are rounded, as transformers does. In a cell's key where it is True.
    dtype: `auto` is bfloat16 on a GPU and float32 on a CPU.
    device, budget_tokens (largest number of tokens in a batch): not part of a cell's key.
    """

    def __init__(
        self,
        model: str = "deepseek-community/Janus-Pro-1B",
        *,
        name: str | None = None,
        system: str = "",
        vlmevalkit: bool = False,
        dtype: str = "auto",
        device: str = "auto",
        budget_tokens: int | None = None,
        adapter: str | None = None,
    ) -> None:
        checked_text("system", system)
        own_options: dict[str, Json] = {"system": system}
        if vlmevalkit:  # keys of cells from before this option stay as they were
            own_options["vlmevalkit"] = True
        super().__init__(
            Checkpoint(model=model, model_type=MODEL_TYPE, dtype=dtype, device=device),
            family="janus-pro",
            name=name,
            own_options=own_options,
            budget_tokens=budget_tokens,
            adapter=adapter,
        )
        self._system, self._vlmevalkit = system, vlmevalkit

    def build(self) -> tuple[Backbone, Any]:
        """Load the weights. Raises InputError."""
        from transformers import JanusForConditionalGeneration

        model = self._weights(JanusForConditionalGeneration)
        kind = VLMEvalKitBackbone if self._vlmevalkit else JanusBackbone
        return kind(model, self.checkpoint.source, system=self._system), model


class JanusBackbone:
    """Pads an image to a square with a fixed number of tokens. Positions count all tokens."""

    def __init__(self, model: Any, source: str, *, system: str) -> None:
        from transformers import JanusImageProcessorPil

        self._processor = load_image_processor(JanusImageProcessorPil, source)
        self.tokenizer = load_tokenizer(source)
        self._system = f"{system}\n\n" if system else ""
        self._model = model
        self.text_model = model.model.language_model
        self.head = model.lm_head
        self.stop = stop_ids(model, self.tokenizer)
        self.context_tokens: int = model.config.text_config.max_position_embeddings
        vision = model.config.vision_config
        self._tokens = (vision.image_size // vision.patch_size) ** 2
        image_id: int = model.config.image_token_id
        self._placeholder: str = self.tokenizer.convert_ids_to_tokens(image_id)
        borders = self.tokenizer.convert_tokens_to_ids(["<begin_of_image>", "<end_of_image>"])
        placed = BorderedImage(self.text_model, image_id, borders, model.device)
        self.expand, self.embed, self.positions = placed.expand, placed.embed, placed.positions

    def prepare(self, rgb8: Rgb8) -> PreparedImage:
        """Pixels (1, 3, side, side)."""
        made = self._processor(
            images=[rgb8], return_tensors="pt", input_data_format="channels_last"
        )
        return PreparedImage(inputs={"pixel_values": made["pixel_values"]}, tokens=self._tokens)

    def text(self, prompt: str) -> str:
        """The placeholder directly before the prompt. The chat template would add a line break,
        but the prompts of some tasks begin with one, and the others have none."""
        content = [{"type": "text", "text": f"{self._placeholder}{prompt}"}]
        text: str = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return self._system + text

    def encode(self, images: Sequence[PreparedImage]) -> list[Tensor]:
        """All images as one batch."""
        import torch

        pixels = torch.cat([image.inputs["pixel_values"] for image in images])
        pixels = pixels.to(self._model.device, self._model.dtype)
        features = self._model.model.get_image_features(pixels).pooler_output
        return list(features)


class VLMEvalKitBackbone(JanusBackbone):
    """Text and image sizes as VLMEvalKit's `vlmeval/vlm/janus.py` has DeepSeek's code make them."""

    def prepare(self, rgb8: Rgb8) -> PreparedImage:
        """Pixels (1, 3, side, side); the processor finds the sides as it would make them."""
        from PIL import Image

        height, width, _ = rgb8.shape
        longest, side = max(height, width), self._processor.size["height"]
        least = self._processor.min_size
        sides = [max(int(size / longest * side), least) for size in (width, height)]
        resized = Image.fromarray(rgb8).resize((sides[0], sides[1]), Image.Resampling.BICUBIC)
        return super().prepare(np.asarray(resized))

    def text(self, prompt: str) -> str:
        """DeepSeek's template: the roles are words, not the tokens of the chat template."""
        return f"{self._system}User: {self._placeholder}{prompt.rstrip()}\n\nAssistant:"


def _multiple_choice(question: Question) -> str:
    head = f"\nHint: {question.hint}\n" if question.hint else "\n"
    return f"{head}{question.text}\n{option_lines(question)}\n{ANSWER_BY_LETTER}"


def _pope(question: Question) -> str:
    return f"\n{question.text.replace(_PLEASE, '')}\n{SHORT_ANSWER}"


def _tower(model: Any) -> Tower:
    """The vision tower, for adapters."""
    from eyechart.vlms.towers import Tower, flat_features, norm_site

    vision = model.model.vision_model
    sites: list[NormSite] = []
    for index, layer in enumerate(vision.encoder.layers):
        attention, name = layer.self_attn, f"encoder.layers.{index}"
        qkv = (attention.q_proj, attention.k_proj, attention.v_proj)
        sites.append(norm_site(f"{name}.layer_norm1", layer.layer_norm1, *qkv))
        sites.append(norm_site(f"{name}.layer_norm2", layer.layer_norm2, layer.mlp.fc1))
    sites.append(norm_site("post_layernorm", vision.post_layernorm))
    conv = vision.embeddings.patch_embedding
    return Tower(
        family="janus",
        prefix="model.vision_model",
        module=vision,
        width=vision.config.hidden_size,
        head_dim=vision.config.hidden_size // vision.config.num_attention_heads,
        norms=tuple(sites),
        patches=conv,
        patch_conv=conv,
        channels_first=True,
        rotary=None,
        run=lambda inputs: flat_features(model.model.get_image_features(inputs["pixel_values"])),
        blocks=tuple(vision.encoder.layers),
    )


FAMILY = Family(
    open=Janus,
    tower=_tower,
    prompts=PromptStyle(
        multiple_choice=_multiple_choice,
        by_task={"POPE": _pope, "MME": lambda question: f"\n{question.text}\n{SHORT_ANSWER}"},
    ),
    model_types=(MODEL_TYPE,),
    known=tuple(
        KnownVLM(name=f"janus-pro-{size.lower()}", hub_id=f"deepseek-community/Janus-Pro-{size}")
        for size in ("1B", "7B")
    ),
)

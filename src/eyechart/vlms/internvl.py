"""InternVL3: any checkpoint of transformers' `InternVLForConditionalGeneration`.

    image -> tiles of 448x448 and a thumbnail -> ViT -> pixel shuffle -> MLP -> Qwen2

Zhu et al., InternVL3, arXiv:2504.10479. Tiles, system message and prompts as in VLMEvalKit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eyechart.core.prompts import ANSWER_BY_LETTER, SHORT_ANSWER, PromptStyle
from eyechart.core.types import Answer, Decoding, Question, Request, Rgb8
from eyechart.vlms.backbone import Backbone, PreparedImage
from eyechart.vlms.checkpoint import Checkpoint, LocalVLM, load_image_processor
from eyechart.vlms.families import Family, KnownVLM
from eyechart.vlms.image_tokens import BorderedImage
from eyechart.vlms.options import checked_count, checked_text
from eyechart.vlms.quiet import quiet
from eyechart.vlms.tokenizer import load_tokenizer, stop_ids

if TYPE_CHECKING:
    from torch import Tensor

    from eyechart.vlms.towers import NormSite, Tower

MODEL_TYPE = "internvl"
MAX_TILES = 6
MAX_TILES_BY_TASK = {"OCRBench": 24}
# OpenGVLab's conversation template begins with this; the converted checkpoints' template does not.
SYSTEM = (
    "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位"
    "联合开发的多模态大语言模型。"
)

_LETTER_ZH = "请直接回答选项字母。"
_CHINESE = re.compile("[\u4e00-\u9fff]")


class InternVL(LocalVLM):
    """InternVL3 1B, 2B, 8B, or any checkpoint of that architecture.

    model: hub id (the converted `-hf` ones) or directory.
    max_tiles: largest number of tiles of 448x448 for an image, without the thumbnail. None:
        VLMEvalKit's number, which depends on the task.
    system: system message; empty for none.
    dtype: `auto` is bfloat16 on a GPU and float32 on a CPU.
    device, budget_tokens (largest number of tokens in a batch): not part of a cell's key.
    """

    def __init__(
        self,
        model: str = "OpenGVLab/InternVL3-1B-hf",
        *,
        name: str | None = None,
        max_tiles: int | None = None,
        system: str = SYSTEM,
        dtype: str = "auto",
        device: str = "auto",
        budget_tokens: int | None = None,
        adapter: str | None = None,
    ) -> None:
        if max_tiles is not None:
            checked_count("max_tiles", max_tiles, or_else="null, or ")
        checked_text("system", system)
        super().__init__(
            Checkpoint(model=model, model_type=MODEL_TYPE, dtype=dtype, device=device),
            family="internvl3",
            name=name,
            own_options={
                "max_tiles": MAX_TILES if max_tiles is None else max_tiles,
                "system": system,
                "stripped": True,  # in the key since `answer` strips
            },
            budget_tokens=budget_tokens,
            adapter=adapter,
        )
        self._tiles_given = max_tiles is not None

    def for_task(self, task: str) -> InternVL:
        """This VLM with VLMEvalKit's settings for a task: more tiles for OCRBench.

        Both share the weights. A `max_tiles` that was given is kept.
        """
        if self._tiles_given or task not in MAX_TILES_BY_TASK:
            return self
        return self._with(max_tiles=MAX_TILES_BY_TASK[task])

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """Answers without white space around them: the `chat` of OpenGVLab's own code, which
        VLMEvalKit calls, strips them. Raises VLMError, InputError."""
        given = super().answer(requests, decoding)
        return [[replace(one, text=one.text.strip()) for one in answers] for answers in given]

    def build(self) -> tuple[Backbone, Any]:
        """Load the weights. Raises InputError."""
        from transformers import InternVLForConditionalGeneration

        model = self._weights(InternVLForConditionalGeneration)
        return InternVLBackbone(model, self.checkpoint.source, self.own_options), model


class InternVLBackbone:
    """Prepares tiles, which all have the same number of tokens. Positions count all tokens."""

    def __init__(self, model: Any, source: str, options: Mapping[str, Any]) -> None:
        from transformers import GotOcr2ImageProcessorPil

        self._processor = load_image_processor(GotOcr2ImageProcessorPil, source)
        self.tokenizer = load_tokenizer(source)
        self._model = model
        self._max_tiles: int = options["max_tiles"]
        self._system: str = options["system"]
        self.text_model = model.model.language_model
        self.head = model.lm_head
        self.stop = stop_ids(model, self.tokenizer)
        self.context_tokens: int = model.config.text_config.max_position_embeddings
        self._tile_tokens: int = model.config.image_seq_length
        image_id: int = model.config.image_token_id
        self._placeholder: str = self.tokenizer.convert_ids_to_tokens(image_id)
        borders = self.tokenizer.convert_tokens_to_ids(["<img>", "</img>"])
        placed = BorderedImage(self.text_model, image_id, borders, model.device)
        self.expand, self.embed, self.positions = placed.expand, placed.embed, placed.positions

    def prepare(self, rgb8: Rgb8) -> PreparedImage:
        """Tiles (n, 3, 448, 448); if there are several, the thumbnail is the last."""
        with quiet():  # it warns that the colour axis of images 3 pixels wide is ambiguous
            made = self._processor(
                images=[rgb8],
                crop_to_patches=True,
                min_patches=1,
                max_patches=self._max_tiles,
                return_tensors="pt",
                input_data_format="channels_last",
            )
        tiles = made["pixel_values"]
        tokens = len(tiles) * self._tile_tokens
        return PreparedImage(inputs={"pixel_values": tiles}, tokens=tokens, units=len(tiles))

    def text(self, prompt: str) -> str:
        """System message, then `<image>` on its own line before the prompt."""
        user = {"role": "user", "content": f"{self._placeholder}\n{prompt}"}
        system = [{"role": "system", "content": self._system}] if self._system else []
        text: str = self.tokenizer.apply_chat_template(
            [*system, user], tokenize=False, add_generation_prompt=True
        )
        return text

    def encode(self, images: Sequence[PreparedImage]) -> list[Tensor]:
        """All tiles of all images as one batch."""
        import torch

        tiles = torch.cat([image.inputs["pixel_values"] for image in images])
        tiles = tiles.to(self._model.device, self._model.dtype)
        features = self._model.model.get_image_features(tiles).pooler_output
        return list(features.flatten(0, 1).split([image.tokens for image in images]))


def _multiple_choice(question: Question) -> str:
    head = f"{question.hint}\n" if question.hint else ""
    options = "".join(f"\n{letter}. {text}" for letter, text in question.options)
    text = f"{head}{question.text}{options}"
    return f"{text}\n{_LETTER_ZH if _CHINESE.search(text) else ANSWER_BY_LETTER}"


def _tower(model: Any) -> Tower:
    """The vision tower, for adapters."""
    from torch import nn

    from eyechart.vlms.towers import Tower, flat_features, norm_site

    vision = model.model.vision_tower
    sites: list[NormSite] = []
    for index, layer in enumerate(vision.encoder.layer):
        attention, name = layer.attention, f"encoder.layer.{index}"
        qkv = (attention.q_proj, attention.k_proj, attention.v_proj)
        sites.append(norm_site(f"{name}.layernorm_before", layer.layernorm_before, *qkv))
        sites.append(norm_site(f"{name}.layernorm_after", layer.layernorm_after, layer.mlp.fc1))
    if not isinstance(vision.layernorm, nn.Identity):
        sites.append(norm_site("layernorm", vision.layernorm))
    conv = vision.embeddings.patch_embeddings.projection
    return Tower(
        family="internvl",
        prefix="model.vision_tower",
        module=vision,
        width=vision.config.hidden_size,
        head_dim=vision.config.hidden_size // vision.config.num_attention_heads,
        norms=tuple(sites),
        patches=conv,
        patch_conv=conv,
        channels_first=True,
        rotary=None,
        run=lambda inputs: flat_features(model.model.get_image_features(inputs["pixel_values"])),
        blocks=tuple(vision.encoder.layer),
    )


FAMILY = Family(
    open=InternVL,
    tower=_tower,
    prompts=PromptStyle(
        multiple_choice=_multiple_choice,
        by_task={
            "MME": lambda question: f"{question.text} {SHORT_ANSWER}",
            "OCRBench": lambda question: f"{question.text}\n{SHORT_ANSWER}",
        },
    ),
    model_types=(MODEL_TYPE,),
    known=tuple(
        KnownVLM(name=f"internvl3-{size.lower()}", hub_id=f"OpenGVLab/InternVL3-{size}-hf")
        for size in ("1B", "2B", "8B")
    ),
)

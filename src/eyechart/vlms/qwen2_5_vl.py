"""Qwen2.5-VL: any checkpoint of transformers' `Qwen2_5_VLForConditionalGeneration`.

    image -> patches 14x14 -> ViT, windows of 112 px, 2-D RoPE -> merge 2x2 -> Qwen2 with 3-D RoPE

Bai et al., Qwen2.5-VL Technical Report, arXiv:2502.13923.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from eyechart.core.errors import InputError, VLMError
from eyechart.core.foreign import read_json
from eyechart.core.types import Json, Rgb8
from eyechart.vlms.backbone import Backbone, PreparedImage
from eyechart.vlms.checkpoint import Checkpoint, LocalVLM, load_image_processor
from eyechart.vlms.families import Family, KnownVLM
from eyechart.vlms.image_tokens import embed_with_image, expand_placeholder
from eyechart.vlms.options import checked_count
from eyechart.vlms.tokenizer import load_tokenizer, stop_ids
from eyechart.zoo import weights_dir

if TYPE_CHECKING:
    from torch import Tensor

    from eyechart.vlms.towers import NormSite, Tower

MODEL_TYPE = "qwen2_5_vl"
# What VLMEvalKit runs Qwen2.5-VL with (28 x 28 pixels are one visual token).
MIN_PIXELS = 1280 * 28 * 28
MAX_PIXELS = 16384 * 28 * 28
RELEASED_PIXELS = (56 * 56, MAX_PIXELS)  # the limits of Qwen's own image processors
MIN_PIXELS_BY_TASK = {"OCRBench": 100 * 28 * 28}

# `auto`: the checkpoint's own limits if they differ from the release's, else VLMEvalKit's.
Pixels: TypeAlias = int | Literal["auto"] | None


class Qwen25VL(LocalVLM):
    """Qwen2.5-VL 3B, 7B, 32B, or any checkpoint of that architecture.

    model: hub id or directory.
    min_pixels, max_pixels: images are scaled into this range and keep their aspect ratio. None
        takes the checkpoint's own limits. `auto` takes VLMEvalKit's: small images are enlarged to
        1280 tokens, for OCRBench to 100. For a directory whose image processor has other limits
        than Qwen's release, `auto` takes those, because it was trained with them.
    dtype: `auto` is bfloat16 on a GPU and float32 on a CPU.
    device, budget_tokens (largest number of tokens in a batch): not part of a cell's key.
    """

    def __init__(
        self,
        model: str = "Qwen/Qwen2.5-VL-3B-Instruct",
        *,
        name: str | None = None,
        min_pixels: Pixels = "auto",
        max_pixels: Pixels = "auto",
        dtype: str = "auto",
        device: str = "auto",
        budget_tokens: int | None = None,
        adapter: str | None = None,
    ) -> None:
        for option, value in (("min_pixels", min_pixels), ("max_pixels", max_pixels)):
            if value not in ("auto", None):
                checked_count(option, value, or_else="auto, null, or ")
        auto: tuple[int | None, int | None] = (MIN_PIXELS, MAX_PIXELS)
        if own_limits(Path(model).expanduser()) not in (None, RELEASED_PIXELS):
            auto = (None, None)
        super().__init__(
            Checkpoint(model=model, model_type=MODEL_TYPE, dtype=dtype, device=device),
            family=MODEL_TYPE,
            name=name,
            own_options={
                "min_pixels": auto[0] if min_pixels == "auto" else min_pixels,
                "max_pixels": auto[1] if max_pixels == "auto" else max_pixels,
            },
            budget_tokens=budget_tokens,
            adapter=adapter,
        )
        least, most = self.own_options["min_pixels"], self.own_options["max_pixels"]
        if isinstance(least, int) and isinstance(most, int) and least > most:
            raise InputError(f"min_pixels={least} is more than max_pixels={most}; give both")
        self._by_task = min_pixels == "auto" and least is not None

    def for_task(self, task: str) -> Qwen25VL:
        """This VLM with VLMEvalKit's settings for a task: for OCRBench it enlarges images less.

        Both share the weights. A `min_pixels` that was given is kept.
        """
        if not self._by_task or task not in MIN_PIXELS_BY_TASK:
            return self
        return self._with(min_pixels=MIN_PIXELS_BY_TASK[task])

    def build(self) -> tuple[Backbone, Any]:
        """Load the weights. Raises InputError."""
        from transformers import Qwen2_5_VLForConditionalGeneration

        model = self._weights(Qwen2_5_VLForConditionalGeneration)
        return QwenBackbone(model, self.checkpoint.source, self.own_options), model


def own_limits(folder: Path) -> tuple[int, int] | None:
    """(min_pixels, max_pixels) of a checkpoint's image processor. None: not in its files, or these
    cannot be read; loading them will raise the error."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        try:
            saved = read_json(folder / name)
            if name == "processor_config.json":
                saved = saved["image_processor"]  # the newer layout; the older has no such part
            size = saved.get("size") or {}
            least = saved.get("min_pixels") or size["shortest_edge"]
            return int(least), int(saved.get("max_pixels") or size["longest_edge"])
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
            InputError,
        ):
            continue
    return None


class QwenBackbone:
    """Patches, three-axis positions and the vision tower of Qwen2.5-VL."""

    def __init__(self, model: Any, source: str, options: dict[str, Json]) -> None:
        from transformers import Qwen2VLImageProcessorPil

        from eyechart.vlms.vision_windows import batch_windows

        limits: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
        self._processor = load_image_processor(Qwen2VLImageProcessorPil, source, **limits)
        self.tokenizer = load_tokenizer(source)
        self._model = model
        self._visual = model.model.visual
        batch_windows(self._visual)
        self.text_model = model.model.language_model
        self.head = model.lm_head
        self.stop = stop_ids(model, self.tokenizer)
        self.context_tokens = model.config.text_config.max_position_embeddings
        self._image_id = model.config.image_token_id
        self._merge = model.config.vision_config.spatial_merge_size

    def prepare(self, rgb8: Rgb8) -> PreparedImage:
        """Patches (n, 1176) and their grid (1, 3) as (frames, rows, columns)."""
        try:
            made = self._processor(
                images=[rgb8], return_tensors="pt", input_data_format="channels_last"
            )
        except ValueError as error:
            height, width, _ = rgb8.shape
            raise VLMError(f"image of {width}x{height} pixels: {error}") from error
        grid = made["image_grid_thw"]
        return PreparedImage(
            inputs={"pixel_values": made["pixel_values"], "grid": grid},
            tokens=int(grid.prod()) // self._merge**2,
        )

    def text(self, prompt: str) -> str:
        """Chat template with the image before the prompt."""
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        text: str = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return text

    def expand(self, ids: list[int], image: PreparedImage) -> list[int]:
        """One image token becomes one for each merged patch."""
        return expand_placeholder(ids, self._image_id, [self._image_id] * image.tokens)

    def embed(self, ids: list[int], features: Tensor) -> Tensor:
        """Token embeddings with the visual tokens in place."""
        return embed_with_image(self.text_model, ids, self._image_id, features)

    def positions(self, ids: list[int], image: PreparedImage) -> tuple[Tensor, int]:
        """Text counts on all three axes; the image counts frame, row and column from its start,
        and text continues after the largest of them (M-RoPE)."""
        import torch

        _, rows, columns = image.inputs["grid"][0].tolist()
        rows, columns = rows // self._merge, columns // self._merge
        start = ids.index(self._image_id)
        grid = torch.stack(
            [
                torch.zeros(rows, columns, dtype=torch.long),
                torch.arange(rows)[:, None].expand(rows, columns),
                torch.arange(columns)[None, :].expand(rows, columns),
            ]
        ).flatten(1)
        after = start + max(rows, columns)
        behind = len(ids) - start - image.tokens
        parts = [
            torch.arange(start).expand(3, -1),
            grid + start,
            torch.arange(after, after + behind).expand(3, -1),
        ]
        return torch.cat(parts, dim=1).to(self._model.device), after + behind

    def encode(self, images: Sequence[PreparedImage]) -> list[Tensor]:
        """Encode all images as one packed sequence."""
        import torch
        from transformers.vision_utils import get_vision_cu_seqlens, get_vision_window_index

        grid = torch.cat([image.inputs["grid"] for image in images])
        pixels = torch.cat([image.inputs["pixel_values"] for image in images])
        device = self._visual.device
        window_index, window_borders = get_vision_window_index(
            grid, self._merge, self._visual.window_size, self._visual.patch_size
        )
        # Borders stay on the CPU: the batched attention reads them as numbers in every layer.
        features = self._visual(
            pixels.to(device, self._visual.dtype),
            grid_thw=grid.to(device),
            cu_seqlens=get_vision_cu_seqlens(grid),
            window_index=window_index.to(device),
            cu_window_seqlens=window_borders,
        ).pooler_output
        return list(features.split([image.tokens for image in images]))


class PackedPatches:
    """Patches of all images in one sequence: `pixel_values` (patches, ...), `grid` (images, 3)."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def from_call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Tensor]:
        """The inputs of a call of the tower's module."""
        pixels = args[0] if args else kwargs["pixel_values"]
        return {"pixel_values": pixels, "grid": kwargs["grid_thw"]}

    def units(self, inputs: Mapping[str, Tensor]) -> int:
        """How many images."""
        return len(inputs["grid"])

    def packed(self, inputs: Mapping[str, Tensor]) -> list[int]:
        """Patches of each image."""
        return [int(count) for count in inputs["grid"].prod(-1).tolist()]

    def select(self, inputs: Mapping[str, Tensor], units: slice) -> dict[str, Tensor]:
        """The inputs of some images."""
        counts = self.packed(inputs)
        start, stop, _ = units.indices(len(counts))
        first, last = sum(counts[:start]), sum(counts[:stop])
        return {
            "pixel_values": inputs["pixel_values"][first:last],
            "grid": inputs["grid"][units],
        }

    def images(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """The pixels of each image as (3, H, W), normalised as the tower gets them."""
        import torch

        merge, size = self._config.spatial_merge_size, self._config.patch_size
        found = []
        parts = torch.split(inputs["pixel_values"], self.packed(inputs))
        for (_, rows, columns), patches in zip(inputs["grid"].tolist(), parts, strict=True):
            # Patches are ordered by merge block; both frames hold the same image.
            frame = patches[: rows * columns].view(
                *(rows // merge, columns // merge, merge, merge),
                -1,
                self._config.temporal_patch_size,
                size,
                size,
            )[:, :, :, :, :, 0]
            image = frame.permute(4, 0, 2, 5, 1, 3, 6)
            found.append(image.reshape(-1, rows * size, columns * size))
        return found


def _tower(model: Any) -> Tower:
    """The vision tower, for adapters."""
    from eyechart.vlms.towers import Tower, norm_site
    from eyechart.vlms.vision_windows import batch_windows

    visual = model.model.visual
    batch_windows(visual)
    sites: list[NormSite] = []
    for index, block in enumerate(visual.blocks):
        sites.append(norm_site(f"blocks.{index}.norm1", block.norm1, block.attn.qkv))
        mlp = (block.mlp.gate_proj, block.mlp.up_proj)
        sites.append(norm_site(f"blocks.{index}.norm2", block.norm2, *mlp))
    merged = visual.spatial_merge_size**2
    sites.append(norm_site("merger.ln_q", visual.merger.ln_q, visual.merger.mlp[0], repeat=merged))

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        from transformers.vision_utils import get_vision_cu_seqlens, get_vision_window_index

        grid = inputs["grid"].cpu()
        index, borders = get_vision_window_index(
            grid, visual.spatial_merge_size, visual.window_size, visual.patch_size
        )
        # Borders stay on the CPU: the batched attention reads them as numbers in every layer.
        features: Tensor = visual(
            inputs["pixel_values"],
            grid_thw=inputs["grid"],
            cu_seqlens=get_vision_cu_seqlens(grid),
            window_index=index.to(inputs["grid"].device),
            cu_window_seqlens=borders,
        ).pooler_output
        return features

    return Tower(
        family="qwen2_5_vl",
        prefix="model.visual",
        module=visual,
        width=visual.config.hidden_size,
        head_dim=visual.config.hidden_size // visual.config.num_heads,
        norms=tuple(sites),
        patches=visual.patch_embed,
        patch_conv=visual.patch_embed.proj,
        channels_first=False,
        rotary=visual.rotary_pos_emb,
        run=run,
        layout=PackedPatches(visual.config),
        flat_patches=True,
        qkv=tuple(block.attn.qkv for block in visual.blocks),
        blocks=tuple(visual.blocks),
    )


FAMILY = Family(
    open=Qwen25VL,
    tower=_tower,
    model_types=(MODEL_TYPE,),
    known=(
        *(
            KnownVLM(name=name, folder=weights_dir(name), note=f"built in, {size}", plugin=name)
            for name, size in (
                ("eyechart-mini-s", "2 M"),
                ("eyechart-mini", "7 M"),
                ("eyechart-mini-l", "16 M"),
            )
        ),
        *(
            KnownVLM(name=f"qwen2.5-vl-{size.lower()}", hub_id=f"Qwen/Qwen2.5-VL-{size}-Instruct")
            for size in ("3B", "7B", "32B")
        ),
    ),
)

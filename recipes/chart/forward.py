"""A fast batched forward pass with the weights of a `Qwen2_5_VLForConditionalGeneration`.

The forward pass of transformers takes images of different sizes and loops over attention windows on
a CPU. In training all images have one size, so windows are a batch dimension here, and many
questions about one image share its visual tokens in one packed row. A test compares the logits with
those of transformers.

Shape suffixes: B images, P patches, N visual tokens, L packed tokens, T those that the layout
keeps, D width, H heads, K head dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.chart.attention import OwnQuestions, WholeRows
from recipes.chart.scene import SIZE_PX

PATCH_PX = 14
MERGE = 2
WINDOW = 4  # visual tokens on a window's side: 112 px
GRID = SIZE_PX // PATCH_PX  # 16 patches on a side
TOKENS = GRID // MERGE  # 8 visual tokens on a side
KeysValues: TypeAlias = tuple[Tensor, Tensor]  # of one layer
_MEAN = (0.48145466, 0.4578275, 0.40821073)  # as in Qwen's preprocessor_config.json
_STD = (0.26862954, 0.26130258, 0.27577711)


def window_order() -> Tensor:
    """(64,) row-major index of each visual token in the order in which windows are contiguous."""
    tokens = torch.arange(TOKENS * TOKENS).view(TOKENS // WINDOW, WINDOW, TOKENS // WINDOW, WINDOW)
    return tokens.permute(0, 2, 1, 3).reshape(-1)


class ChartForward(nn.Module):
    """Vision and language passes for images of one size, with the modules of a model."""

    order_N: Tensor
    cos_PK: Tensor
    sin_PK: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.visual = model.model.visual
        self.language = model.model.language_model
        self.head = model.lm_head
        order_N = window_order()
        self.register_buffer("order_N", order_N, persistent=False)
        # Row and column of every patch: tokens in window order, 2 x 2 patches inside a token.
        inside = torch.arange(MERGE)
        row_P = ((order_N // TOKENS * MERGE)[:, None, None] + inside[:, None]).expand(-1, 2, 2)
        col_P = ((order_N % TOKENS * MERGE)[:, None, None] + inside).expand(-1, 2, 2)
        # Axial RoPE: half of the frequencies are for rows, half for columns.
        spatial = self.visual.blocks[0].attn.head_dim // 2
        rate = 10000.0 ** -(torch.arange(0, spatial, 2) / spatial)
        angle_PK = torch.cat([row_P.reshape(-1, 1) * rate, col_P.reshape(-1, 1) * rate], dim=1)
        self.register_buffer("cos_PK", angle_PK.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin_PK", angle_PK.sin().repeat(1, 2), persistent=False)
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1) * 255, persistent=False)

    def encode_images(self, images_BCHW: Tensor) -> Tensor:
        """uint8 (B, 3, 224, 224) -> visual tokens (B, 64, D), row-major."""
        batch = images_BCHW.shape[0]
        x = (images_BCHW.float() - self.mean) / self.std
        side, px = TOKENS, PATCH_PX
        x = x.view(batch, 3, side, MERGE, px, side, MERGE, px).permute(0, 2, 5, 3, 6, 1, 4, 7)
        x = x.reshape(batch, side * side, MERGE * MERGE, 3 * px * px)[:, self.order_N]
        # Both frames of a temporal patch are the same image, so the kernels of both are added.
        kernel = self.visual.patch_embed.proj.weight.sum(2).flatten(1)
        # The sums of the blocks stay in float32 where autocast computes in bfloat16.
        x_BPD = F.linear(x.flatten(1, 2), kernel).float()
        for index, block in enumerate(self.visual.blocks):
            windows = 1 if index in self.visual.fullatt_block_indexes else (TOKENS // WINDOW) ** 2
            x_BPD = x_BPD + self._attend(block.attn, _norm(block.norm1, x_BPD), windows)
            x_BPD = x_BPD + block.mlp(_norm(block.norm2, x_BPD))
        merged_BND = self.visual.merger(x_BPD).view(batch, side * side, -1)
        seen_BND: Tensor = merged_BND[:, torch.argsort(self.order_N)]
        return seen_BND

    def _attend(self, attn: Any, x_BPD: Tensor, windows: int) -> Tensor:
        batch, patches, width = x_BPD.shape
        qkv = attn.qkv(x_BPD).view(batch, patches, 3, attn.num_heads, attn.head_dim)
        q, k, v = qkv.unbind(2)
        cos, sin = self.cos_PK[:, None], self.sin_PK[:, None]
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        shape = (batch * windows, patches // windows, attn.num_heads, attn.head_dim)
        q, k, v = (t.reshape(shape).transpose(1, 2) for t in (q, k, v.to(q.dtype)))
        if q.is_cuda:
            out = F.scaled_dot_product_attention(q, k, v)
        else:  # on a CPU the backward pass of the fused kernel is slow for short windows
            out = (q * attn.scaling @ k.transpose(-1, -2)).softmax(-1).to(v.dtype) @ v
        attended_BPD: Tensor = attn.proj(out.transpose(1, 2).reshape(batch, patches, width))
        return attended_BPD

    def hidden_states(
        self,
        ids_BL: Tensor,
        visual_BND: Tensor,
        first: int,
        position_3BL: Tensor,
        layout: WholeRows | OwnQuestions,
    ) -> Tensor:
        """Hidden states (T, D) of the tokens that the layout keeps, of packed rows whose visual
        tokens start at index `first`."""
        embedded = self.language.embed_tokens(ids_BL)
        visual = visual_BND.to(embedded.dtype)
        after = first + visual.shape[1]
        rows_BLD = torch.cat([embedded[:, :first], visual, embedded[:, after:]], dim=1)
        x_TD = rows_BLD.flatten(0, 1).index_select(0, layout.kept)
        position_31T = position_3BL.flatten(1).index_select(1, layout.kept)[:, None]
        cos, sin = self.language.rotary_emb(x_TD, position_31T)
        cos, sin = cos[0, :, None], sin[0, :, None]
        for layer in self.language.layers:
            attn = layer.self_attn
            h = _norm(layer.input_layernorm, x_TD)
            heads = (len(h), -1, attn.head_dim)
            q, k = _rotate(attn.q_proj(h).view(heads), cos, sin), attn.k_proj(h).view(heads)
            k, v = _rotate(k, cos, sin), attn.v_proj(h).view(heads)
            out = layout.attend(q, k, v.to(q.dtype))
            x_TD = x_TD + attn.o_proj(out.flatten(1))
            x_TD = x_TD + layer.mlp(_norm(layer.post_attention_layernorm, x_TD))
        return _norm(self.language.norm, x_TD)

    def decode(
        self, x_BLD: Tensor, position_3BL: Tensor, mask: Tensor, before: Sequence[KeysValues] = ()
    ) -> tuple[Tensor, list[KeysValues]]:
        """Hidden states (B, L, D) of embedded tokens, and their keys and values in each layer.

        before: keys and values of earlier tokens in each layer, (B, H, E, K). Tokens attend to
        them where the mask, (B, 1, L, E + L), lets them.
        """
        kept: list[KeysValues] = []
        cos, sin = self.language.rotary_emb(x_BLD, position_3BL)
        cos, sin = cos[:, :, None], sin[:, :, None]
        for number, layer in enumerate(self.language.layers):
            attn = layer.self_attn
            h = _norm(layer.input_layernorm, x_BLD)
            heads = (*h.shape[:2], -1, attn.head_dim)
            q, k = _rotate(attn.q_proj(h).view(heads), cos, sin), attn.k_proj(h).view(heads)
            k, v = _rotate(k, cos, sin), attn.v_proj(h).view(heads)
            q, k, v = (t.transpose(1, 2) for t in (q, k, v))
            kept.append((k, v))
            if before:
                k, v = (torch.cat(pair, dim=2) for pair in zip(before[number], (k, v), strict=True))
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            x_BLD = x_BLD + attn.o_proj(out.transpose(1, 2).flatten(2))
            x_BLD = x_BLD + layer.mlp(_norm(layer.post_attention_layernorm, x_BLD))
        return _norm(self.language.norm, x_BLD), kept


def _norm(module: Any, x: Tensor) -> Tensor:
    """RMSNorm in one kernel; the module's own forward pass has six."""
    return F.rms_norm(x, (x.shape[-1],), module.weight, module.variance_epsilon)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cos.to(x.dtype) + turned * sin.to(x.dtype)

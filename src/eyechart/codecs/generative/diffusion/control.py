"""The control module of DiffEIC, and noise estimator of RDEIC: a narrow copy of the UNet's encoder.

It takes the noisy latent with the hint. After each stage of the UNet's encoder, after its middle
and before each stage of its decoder, a 1x1 convolution of the module's own features is added. Such
convolutions start at zero, so that training starts at the base model (ControlNet, arXiv
2302.05543, with the connections of ControlNet-XS, arXiv 2312.06573).

Parameter names are those of the published code, whose blocks are those of latent diffusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention, silu

_ControlStage: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlShape:
    """The sizes of a control module for Stable Diffusion 2.x.

    base: channels of the UNet at its four sizes. widths: those of the module. hint: channels of the
    hint. text: width of the prompt. head: most channels of an attention head. latent: channels of
    the noisy latent. groups: most groups of a normalization.
    """

    hint: int
    base: tuple[int, int, int, int] = (320, 640, 1280, 1280)
    widths: tuple[int, int, int, int] = (64, 128, 256, 256)
    text: int = 1024
    head: int = 16
    latent: int = 4
    groups: int = 32


class ControlModule(nn.Module):
    """The narrow encoder, and the 1x1 convolutions into the UNet."""

    def __init__(self, shape: ControlShape) -> None:
        super().__init__()
        self.control_model = _ControlEncoder(shape)
        own = [shape.widths[0], *_encoder_widths(shape.widths)]
        base = [shape.base[0], *_encoder_widths(shape.base)]
        self.enc_zero_convs_out = nn.ModuleList(map(_zero_conv, own, base))
        self.middle_block_out = _zero_conv(shape.widths[-1], shape.base[-1])
        before = [shape.base[-1], *(width for width in reversed(shape.base) for _ in range(3))]
        self.dec_zero_convs_out = nn.ModuleList(map(_zero_conv, reversed(own), before))


class ControlledUnet:
    """A UNet of diffusers with a control module.

    unet: `UNet2DConditionModel`. prompt: (1, tokens, width).
    """

    def __init__(self, unet: Any, control: ControlModule, prompt: Tensor) -> None:
        self._unet, self._control, self._prompt = unet, control, prompt

    def __call__(self, x: Tensor, hint: Tensor, step: int) -> Tensor:
        """The predicted noise. x: noisy latents (batch, channels, height, width)."""
        unet, control, own = self._unet, self._control, self._control.control_model
        steps = torch.full((x.shape[0],), step, device=x.device)
        waves = unet.time_proj(steps).to(x.dtype)
        time, own_time = unet.time_embedding(waves), own.time_embed(waves)
        prompt = self._prompt.expand(x.shape[0], -1, -1)
        hidden, narrow = x, torch.cat([x, hint], 1)
        skipped, kept = [], []
        for stage, own_stage, added in zip(
            _down_stages(unet), own.input_blocks, control.enc_zero_convs_out, strict=True
        ):
            narrow = own_stage(narrow, own_time, prompt)
            hidden = stage(hidden, time, prompt) + added(narrow)
            skipped.append(hidden)
            kept.append(narrow)
        hidden = unet.mid_block(hidden, time, encoder_hidden_states=prompt)
        narrow = own.middle_block(narrow, own_time, prompt)
        hidden = hidden + control.middle_block_out(narrow)
        for stage, added in zip(_up_stages(unet), control.dec_zero_convs_out, strict=True):
            hidden = torch.cat([hidden + added(kept.pop()), skipped.pop()], 1)
            hidden = stage(hidden, time, prompt)
        found: Tensor = unet.conv_out(silu(unet.conv_norm_out(hidden)))
        return found


def _down_stages(unet: Any) -> Iterator[_ControlStage]:
    """The stages of the UNet's encoder, each of which ends in a skip connection."""
    yield lambda hidden, time, prompt: unet.conv_in(hidden)
    for block in unet.down_blocks:
        yield from _block_stages(block)
        for sampler in block.downsamplers or ():
            yield partial(_downsampled, sampler)


def _up_stages(unet: Any) -> Iterator[_ControlStage]:
    """The stages of the UNet's decoder; the last one of a size includes its doubling."""
    for block in unet.up_blocks:
        *stages, last = _block_stages(block)
        yield from stages
        yield partial(_doubled, block, last)


def _downsampled(sampler: Any, hidden: Tensor, time: Tensor, prompt: Tensor) -> Tensor:
    found: Tensor = sampler(hidden)
    return found


def _doubled(
    block: Any, last: _ControlStage, hidden: Tensor, time: Tensor, prompt: Tensor
) -> Tensor:
    hidden = last(hidden, time, prompt)
    for sampler in block.upsamplers or ():
        hidden = sampler(hidden)
    return hidden


def _block_stages(block: Any) -> Iterator[_ControlStage]:
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    for resnet, attention in zip(block.resnets, attentions, strict=True):
        yield partial(_attended, resnet, attention)


def _attended(resnet: Any, attention: Any, hidden: Tensor, time: Tensor, prompt: Tensor) -> Tensor:
    hidden = resnet(hidden, time)
    if attention is None:
        return hidden
    found: Tensor = attention(hidden, encoder_hidden_states=prompt, return_dict=False)[0]
    return found


class _ControlEncoder(nn.Module):
    def __init__(self, shape: ControlShape) -> None:
        super().__init__()
        time = 4 * shape.base[0]
        self.time_embed = nn.Sequential(
            nn.Linear(shape.base[0], time), nn.SiLU(), nn.Linear(time, time)
        )
        first, last = shape.widths[0], shape.widths[-1]
        stages = [_Layers(nn.Conv2d(shape.latent + shape.hint, first, 3, padding=1))]
        before = first
        for place, width in enumerate(shape.widths):
            coarsest = place == len(shape.widths) - 1
            for _ in range(2):
                block = _ControlResidual(before, width, shape)
                stages.append(_Layers(block, *([] if coarsest else [_Attention(width, shape)])))
                before = width
            if not coarsest:
                stages.append(_Layers(_Downsample(width)))
        self.input_blocks = nn.ModuleList(stages)
        self.middle_block = _Layers(
            _ControlResidual(last, last, shape),
            _Attention(last, shape),
            _ControlResidual(last, last, shape),
        )


class _Layers(nn.ModuleList):
    """Layers one after the other; residual blocks get the time, attention gets the prompt."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(layers)

    def forward(self, x: Tensor, time: Tensor, prompt: Tensor) -> Tensor:
        for layer in self:
            if isinstance(layer, _ControlResidual):
                x = layer(x, time)
            elif isinstance(layer, _Attention):
                x = layer(x, prompt)
            else:
                x = layer(x)
        return x


class _ControlResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, shape: ControlShape) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            _group_norm(inputs, shape), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(4 * shape.base[0], outputs))
        self.out_layers = nn.Sequential(
            _group_norm(outputs, shape),
            nn.SiLU(),
            nn.Identity(),  # a dropout in training
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        same = inputs == outputs
        self.skip_connection = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        hidden = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        out: Tensor = self.skip_connection(x) + self.out_layers(hidden)
        return out


class _Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.op(x)
        return out


class _Attention(nn.Module):
    """A transformer block over all positions, which attends to the prompt, too."""

    def __init__(self, channels: int, shape: ControlShape) -> None:
        super().__init__()
        self.norm = _group_norm(channels, shape, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([_Transformer(channels, shape)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, prompt: Tensor) -> Tensor:
        tokens = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            tokens = block(tokens, prompt)
        found: Tensor = self.proj_out(tokens).transpose(1, 2).reshape(x.shape)
        return x + found


class _Transformer(nn.Module):
    def __init__(self, channels: int, shape: ControlShape) -> None:
        super().__init__()
        heads = channels // _largest_divisor(channels, shape.head)
        self.attn1 = _Heads(channels, channels, heads)
        self.attn2 = _Heads(channels, shape.text, heads)
        self.ff = _FeedForward(channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def forward(self, tokens: Tensor, prompt: Tensor) -> Tensor:
        normal = self.norm1(tokens)
        tokens = tokens + self.attn1(normal, normal)
        tokens = tokens + self.attn2(self.norm2(tokens), prompt)
        out: Tensor = tokens + self.ff(self.norm3(tokens))
        return out


class _Heads(nn.Module):
    """Attention of `inputs` channels to tokens of `context` channels."""

    def __init__(self, inputs: int, context: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.to_q = nn.Linear(inputs, inputs, bias=False)
        self.to_k = nn.Linear(context, inputs, bias=False)
        self.to_v = nn.Linear(context, inputs, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inputs, inputs))

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        parts = (self.to_q(tokens), self.to_k(seen), self.to_v(seen))
        query, key, value = (part.unflatten(2, (self._heads, -1)).transpose(1, 2) for part in parts)
        found = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        out: Tensor = self.to_out(found)
        return out


class _FeedForward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            _Gate(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.net(tokens)
        return out


class _Gate(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, 2 * outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        value, gate = self.proj(tokens).chunk(2, -1)
        out: Tensor = value * gelu(gate)
        return out


def _encoder_widths(widths: tuple[int, ...]) -> list[int]:
    """Channels after each stage of an encoder but its first: two blocks, a halving, and so on."""
    *others, last = widths
    return [*(width for width in others for _ in range(3)), last, last]


def _zero_conv(inputs: int, outputs: int) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, 1)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer)


def _group_norm(channels: int, shape: ControlShape, eps: float = 1e-5) -> nn.GroupNorm:
    return nn.GroupNorm(_largest_divisor(channels, shape.groups), channels, eps=eps)


def _largest_divisor(number: int, most: int) -> int:
    return next(count for count in range(min(most, number), 0, -1) if number % count == 0)

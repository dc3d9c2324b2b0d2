"""TransTIC, a transformer codec that is adapted to a task by prompts (Chen et al., ICCV 2023).

The base is TIC with a hyperprior and no context. Prompts are additional tokens in the windows of a
transformer block. In the first two stages of the encoder they are made from the image. In all
stages of the decoder they are either constants, the same for every window, or made from the latent.
With the base frozen, prompts are trained for a task. The network follows the authors' code
(https://github.com/NYCU-MAPL/TransTIC): its checkpoints load after a rename.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from eyechart.codecs.learned.coding import Estimator, LatentCoder, Size
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.layers import bias_of, conv, deconv
from eyechart.codecs.learned.principal import FIRST_BRANCHES, latent_gain, start_linear
from eyechart.codecs.learned.swin import (
    ResidualSwin,
    SwinBlock,
    attend,
    join_windows,
    scale_branches,
    shift_mask,
    split_windows,
)
from eyechart.codecs.learned.weights import misfit
from eyechart.core.errors import InputError

_PROMPTED_STAGES = 2  # of the encoder
_TOKENS = 16  # constant prompts of a block

DecoderPrompts: TypeAlias = Literal["", "constant", "latent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransticShape:
    """The sizes of a TransTIC network. The defaults are those of the authors' base codec.

    width: channels of the transforms and of z. latent: channels of y. depths, heads: transformer
    blocks and their heads at 1/2, 1/4, 1/8, 1/16, 1/32 and 1/64 of the image's size. window: side
    at the first four, half of it at the others. encoder_prompts: with prompts there; prompt_width:
    channels of the network that makes them from an image. decoder_prompts: what they are, none if
    empty.
    """

    width: int = 128
    latent: int = 192
    depths: tuple[int, int, int, int, int, int] = (2, 4, 6, 2, 2, 2)
    heads: tuple[int, int, int, int, int, int] = (8, 8, 8, 16, 16, 16)
    window: int = 8
    mlp_ratio: float = 2.0
    encoder_prompts: bool = False
    decoder_prompts: DecoderPrompts = ""
    prompt_width: int = 32

    @property
    def variant(self) -> str:
        """Where this network has prompts."""
        where = [
            *(["encoder"] if self.encoder_prompts else []),
            *([f"decoder ({self.decoder_prompts})"] if self.decoder_prompts else []),
        ]
        return f"prompts in {' and '.join(where)}" if where else "base, without prompts"

    def swin(self, stage: int, *, prompts: DecoderPrompts = "") -> ResidualSwin:
        """The transformer blocks of a stage, 0 at 1/2 of the image's size.

        At 1/64 no window is shifted: the authors' code turns that off for maps of one window.
        """
        kinds = {"": ResidualSwin, "constant": _ConstantlyPrompted, "latent": _Prompted}
        return kinds[prompts](
            self.latent if stage == 3 else self.width,
            depth=self.depths[stage],
            heads=self.heads[stage],
            window=self.window if stage < 4 else self.window // 2,
            mlp_ratio=self.mlp_ratio,
            shifted=stage != 5,
        )


MINI = TransticShape(
    width=44,
    latent=96,
    depths=(1, 1, 2, 0, 0, 0),
    heads=(4, 4, 4, 4, 4, 4),
    window=4,
    prompt_width=8,
)


def shape_of(tensors: Mapping[str, Tensor], base: TransticShape = TransticShape()) -> TransticShape:
    """The variant of the size of `base` that a checkpoint, under this package's keys, is of."""
    constant = any(key.endswith("prompt_embeddings") for key in tensors)
    latent = any(key.startswith("g_s.prompts.") for key in tensors)
    return replace(
        base,
        encoder_prompts=any(key.startswith("g_a.prompts.") for key in tensors),
        decoder_prompts="constant" if constant else "latent" if latent else "",
    )


def for_machines(tensors: Mapping[str, Tensor], base: TransticShape) -> Transtic:
    """A network with prompts in encoder and decoder that can be trained, all else frozen.

    tensors: of the base codec, or of one with such prompts already.
    Raises:
        InputError: of another network.
    """
    network = Transtic(replace(base, encoder_prompts=True, decoder_prompts="latent"))
    new = {key for key in network.state_dict() if _is_prompt(key)}
    with_prompts = new <= tensors.keys()
    own = network.state_dict()
    filled = tensors if with_prompts else {**{key: own[key] for key in new}, **tensors}
    if problem := misfit(network, filled):
        raise InputError(f"transtic: {problem}")
    network.load_state_dict(filled)
    for key, parameter in network.named_parameters():
        parameter.requires_grad_(_is_prompt(key))
    return network


def _is_prompt(key: str) -> bool:
    return ".prompts." in key or ".prompt_layers." in key


class _PromptedBlock(SwinBlock):
    """A Swin block whose windows also attend to prompts."""

    def with_map(self, x: Tensor, prompts: Tensor) -> Tensor:
        """x: (batch, height, width, channels). prompts: the same, half as high and wide."""
        half = -self.shift // 2
        moved = torch.roll(prompts, (half, half), (1, 2)) if half else prompts
        return self._with_tokens(x, split_windows(moved, self.window // 2), _map_mask)

    def with_constants(self, x: Tensor, prompts: Tensor) -> Tensor:
        """x: (batch, height, width, channels). prompts: (tokens, channels)."""
        count = x.shape[0] * (x.shape[1] // self.window) * (x.shape[2] // self.window)
        return self._with_tokens(x, prompts.expand(count, -1, -1), _constants_mask)

    def _with_tokens(
        self, x: Tensor, prompts: Tensor, masked: Callable[[Tensor, int], Tensor]
    ) -> Tensor:
        """prompts: (windows, tokens, channels). masked: adds them to a mask of a window."""
        attn, shift, count = self.attn, self.shift, prompts.shape[1]
        moved = self.norm1(x)
        if shift:
            moved = torch.roll(moved, (-shift, -shift), (1, 2))
        tokens = torch.cat([prompts, split_windows(moved, self.window)], 1)
        bias = attn.relative_position_bias_table[attn.relative_position_index].permute(2, 0, 1)
        bias = torch.cat([bias.new_zeros(*bias.shape[:2], count), bias], 2)
        if shift:
            mask = masked(shift_mask(x.shape[1], x.shape[2], self.window, shift).to(x), count)
            bias = (bias + mask[:, None]).repeat(len(tokens) // len(mask), 1, 1, 1)
        seen = attn.proj(attend(attn.qkv(tokens), attn.heads, bias, first=count))
        moved = join_windows(seen, x.shape, self.window)
        if shift:
            moved = torch.roll(moved, (shift, shift), (1, 2))
        x = x + moved
        found: Tensor = x + self.mlp(self.norm2(x))
        return found


class _Prompted(ResidualSwin):
    """Swin blocks, each with a separate map of prompts."""

    block = _PromptedBlock

    def prompted(self, x: Tensor, prompts: Sequence[Tensor]) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        for block, one in zip(self.residual_group.blocks, prompts, strict=True):
            assert isinstance(block, _PromptedBlock)
            tokens = block.with_map(tokens, one.permute(0, 2, 3, 1))
        return x + tokens.permute(0, 3, 1, 2)


class _ConstantlyPrompted(ResidualSwin):
    """Swin blocks, each with separate constant prompts."""

    block = _PromptedBlock

    def __init__(
        self,
        channels: int,
        *,
        depth: int,
        heads: int,
        window: int,
        mlp_ratio: float,
        shifted: bool = True,
    ) -> None:
        super().__init__(
            channels, depth=depth, heads=heads, window=window, mlp_ratio=mlp_ratio, shifted=shifted
        )
        reach = (6 / (3 + channels)) ** 0.5
        embeddings = torch.empty(depth, _TOKENS, channels).uniform_(-reach, reach)
        self.residual_group.prompt_embeddings = nn.Parameter(embeddings)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        embeddings = self.residual_group.get_parameter("prompt_embeddings")
        for block, prompts in zip(self.residual_group.blocks, embeddings, strict=True):
            assert isinstance(block, _PromptedBlock)
            tokens = block.with_constants(tokens, prompts)
        return x + tokens.permute(0, 3, 1, 2)


class _Transform(nn.Module):
    """Convolutions and transformer blocks in turn, some blocks with prompts.

    layers: blocks at every second place. sources: for those of the prompted blocks, by their place,
    what makes their prompts' feature map from that of the block before, or from the input.
    """

    def __init__(self, layers: list[nn.Module], sources: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.prompts = nn.ModuleDict({str(place): source for place, source in sources.items()})
        self.prompt_layers = nn.ModuleDict()
        for place in sources:
            blocks = layers[place]
            assert isinstance(blocks, ResidualSwin)
            group = blocks.residual_group.blocks
            downs = [conv(blocks.channels, blocks.channels, kernel=3) for _ in group]
            self.prompt_layers[str(place)] = nn.ModuleList(downs)

    def forward(self, x: Tensor) -> Tensor:
        prompts = x
        for place, layer in enumerate(self.layers):
            if str(place) not in self.prompts:
                x = layer(x)
                continue
            assert isinstance(layer, _Prompted)
            prompts = self.prompts[str(place)](prompts)
            downs = self.prompt_layers[str(place)]
            assert isinstance(downs, nn.ModuleList)
            x = layer.prompted(x, [down(prompts) for down in downs])
        return x


class _PromptNetwork(nn.Module):
    """A small U-Net over the image: (batch, 3, height, width) to half the height and width."""

    def __init__(self, outputs: int, width: int) -> None:
        super().__init__()
        self.down1 = _normed(3, width, width)
        self.down2 = _normed(width, 2 * width, 2 * width)
        self.down3 = _normed(2 * width, 4 * width, 4 * width)
        self.up2 = _normed(6 * width, 2 * width, 2 * width, 2 * width)
        self.up1 = _normed(3 * width, width, width, width)
        self.classifier = nn.Sequential(conv(width, outputs, kernel=3))
        self._pool = nn.MaxPool2d(2)
        self._grow = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, picture: Tensor) -> Tensor:
        fine = self.down1(picture)
        middle = self.down2(self._pool(fine))
        coarse = self.down3(self._pool(middle))
        middle = self.up2(torch.cat([middle, self._grow(coarse)], 1))
        fine = self.up1(torch.cat([fine, self._grow(middle)], 1))
        found: Tensor = self.classifier(fine)
        return found


class Transtic(nn.Module):
    """The network: transforms g_a, g_s and hyper transforms h_a, h_s.

    `forward` takes images (batch, 3, height, width) in 0..1 and returns the reconstruction and
    the likelihoods of `y` and `z`. Sides are multiples of 32 windows.
    """

    def __init__(self, shape: TransticShape = TransticShape()) -> None:
        super().__init__()
        self.shape = shape
        width, latent = shape.width, shape.latent
        self.g_a, self.g_s = _analysis(shape), _synthesis(shape)
        self.h_a = nn.Sequential(
            conv(latent, width, kernel=3),
            shape.swin(4),
            conv(width, width, kernel=3),
            shape.swin(5),
        )
        self.h_s = nn.Sequential(
            shape.swin(5),
            deconv(width, width, kernel=3),
            shape.swin(4),
            deconv(width, 2 * latent, kernel=3),
        )
        self.entropy_bottleneck = EntropyBottleneck(width)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        estimator = Estimator(training=self.training)
        y = self.g_a(x)
        y_hat = self.code_latent(estimator, y, self.h_a(y), (y.shape[2], y.shape[3]))
        (y_likelihoods,), (z_likelihoods,) = estimator.y_likelihoods, estimator.z_likelihoods
        return self.g_s(y_hat), {"y": y_likelihoods, "z": z_likelihoods}

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor:
        """Pass z and then y to a coder; both are None when decoding. size: of y."""
        z_hat = coder.bottleneck(z, self.entropy_bottleneck, (size[0] // 4, size[1] // 4))
        scales, means = self.h_s(z_hat).chunk(2, 1)
        return coder.gaussian(y, means, scales)

    @torch.no_grad()
    def start(self, images: Tensor, lmbda: float) -> None:
        """Set the first weights for training: the transforms as principal component transforms.

        images: (batch, 3, height, width) in 0..1 to learn from. lmbda: weight of the distortion,
        which sets the size of y.
        """
        down = [layer for layer in self.g_a.layers if isinstance(layer, nn.Conv2d)]
        up = [layer for layer in self.g_s.layers if isinstance(layer, nn.ConvTranspose2d)]
        y = start_linear(down, up[::-1], images, gain=latent_gain(lmbda))
        scale_branches(self, FIRST_BRANCHES)
        # Blocks that change nothing, with the residual connection around them, double their input.
        for layer in (*down[1:], *up):
            layer.weight.mul_(0.5)
        down[-1].weight.mul_(0.5)
        bias_of(down[-1]).mul_(0.5)
        last = self._last_of_hyper()
        last.weight.mul_(0.1)
        scale = y.std((0, 2, 3))
        bias_of(last).copy_(torch.cat([scale, torch.zeros_like(scale)]))

    @torch.no_grad()
    def scale_latent(self, factor: float) -> None:
        """Multiply y by a factor that the synthesis divides by: only the rounding of y changes.

        So weights trained for one lambda are a good start for another one: the best quantisation
        step is proportional to 1 / sqrt(lambda).
        """
        into, blocks_after = self.g_a.layers[-2:]
        blocks_before, out = self.g_s.layers[:2]
        for layer in (into, self._last_of_hyper()):
            assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
            layer.weight.mul_(factor)
            bias_of(layer).mul_(factor)
        scale_branches(blocks_after, factor)
        scale_branches(blocks_before, factor)
        for layer in (out, self.h_a[0]):
            assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
            layer.weight.div_(factor)

    def _last_of_hyper(self) -> nn.ConvTranspose2d:
        layer = self.h_s[-1]
        assert isinstance(layer, nn.ConvTranspose2d)
        return layer


def _analysis(shape: TransticShape) -> _Transform:
    width = shape.width
    stages = range(_PROMPTED_STAGES if shape.encoder_prompts else 0)
    sources = [_PromptNetwork(width, shape.prompt_width), conv(width, width, kernel=3)]
    layers: list[nn.Module] = []
    for stage in range(4):
        outputs = shape.latent if stage == 3 else width
        layers.append(conv(width if stage else 3, outputs, kernel=3 if stage else 5))
        layers.append(shape.swin(stage, prompts="latent" if stage in stages else ""))
    return _Transform(layers, {2 * stage + 1: sources[stage] for stage in stages})


def _synthesis(shape: TransticShape) -> _Transform:
    width, latent = shape.width, shape.latent
    layers: list[nn.Module] = []
    for stage in (3, 2, 1, 0):
        layers.append(shape.swin(stage, prompts=shape.decoder_prompts))
        outputs = width if stage else 3
        layers.append(deconv(latent if stage == 3 else width, outputs, kernel=3 if stage else 5))
    sources = [
        conv(latent, latent, kernel=3, stride=1),
        deconv(latent, width, kernel=3),
        deconv(width, width, kernel=3),
        deconv(width, width, kernel=3),
    ]
    places = range(4 if shape.decoder_prompts == "latent" else 0)
    return _Transform(layers, {2 * place: sources[place] for place in places})


def _normed(*widths: int) -> nn.Sequential:
    """3x3 convolutions, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [conv(before, after, kernel=3, stride=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def _map_mask(mask: Tensor, count: int) -> Tensor:
    """What the authors' code adds to the scores of `count` prompts and then the window's tokens.

    The window's mask is used for the prompts and the first tokens, and half of its columns for the
    last tokens. Published prompts were trained with it.
    """
    return torch.cat([mask, mask[:, :, count:-count:2]], 2)


def _constants_mask(mask: Tensor, count: int) -> Tensor:
    """All tokens attend to the prompts."""
    return torch.cat([mask.new_zeros(*mask.shape[:2], count), mask], 2)

"""TransTIC, a transformer codec that is adapted to a task by prompts (Chen et al., ICCV 2023).

The base is TIC with a hyperprior and no context. Prompts are additional tokens in the windows of a
transformer block. In the first two stages of the encoder they are made from the image. In all
stages of the decoder they are either constants, the same for every window, or made from the latent.
With the base frozen, prompts are trained for a task. The network follows the authors' code
(https://github.com/NYCU-MAPL/TransTIC): its checkpoints load after a rename.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from eyechart.codecs.learned.coding import LatentCoder, Size, forward_in_one_pass
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.layers import bias_of, conv, deconv
from eyechart.codecs.learned.principal import FIRST_BRANCHES, latent_gain, start_linear
from eyechart.codecs.learned.prompts import (
    ConstantlyPromptedSwin,
    PromptedSwin,
    PromptNetwork,
)
from eyechart.codecs.learned.swin import ResidualSwin, scale_branches
from eyechart.codecs.learned.weights import misfit
from eyechart.core.errors import InputError

_PROMPTED_STAGES = 2  # of the encoder

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
        kinds = {"": ResidualSwin, "constant": ConstantlyPromptedSwin, "latent": PromptedSwin}
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
            assert isinstance(layer, PromptedSwin)
            prompts = self.prompts[str(place)](prompts)
            downs = self.prompt_layers[str(place)]
            assert isinstance(downs, nn.ModuleList)
            x = layer.prompted(x, [down(prompts) for down in downs])
        return x


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
        return forward_in_one_pass(self, x)

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
    sources = [PromptNetwork(width, shape.prompt_width), conv(width, width, kernel=3)]
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

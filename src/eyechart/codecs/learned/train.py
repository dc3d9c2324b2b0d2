"""Rate-distortion training of a learned codec, resumable exactly.

The loss is lambda * 255^2 * MSE + bpp, lambda * (1 - MS-SSIM) + bpp, lambda * a distance of a
VLM's features + bpp, or what an `Objective` says, the rate by the likelihoods of the latent with
noise. All randomness is a function of the seed and the step, so a stopped run continues exactly as
an uninterrupted one. A run's folder:

    state.safetensors    the weights, their average, the optimizer's momenta; step and settings
    weights.safetensors  the averaged weights
    log.jsonl            the learning curve, one line for every 100 steps

Codecs use the averaged weights, an exponential mean over about 1,000 steps.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eyechart.codecs.learned.distortion import Distortion, distortion
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.objective import (
    Compare,
    Objective,
    RateDistortion,
    bpp_of,
    compare_images,
)
from eyechart.codecs.learned.optimizer import MuonAdam
from eyechart.codecs.learned.parallel import mean_gradients, mean_of
from eyechart.codecs.learned.photos import Crops
from eyechart.core.errors import InputError, TrainingError
from eyechart.core.training_state import CODEC_STATE
from eyechart.core.types import Rgb8

STATE, WEIGHTS, LOG = CODEC_STATE, "weights.safetensors", "log.jsonl"
_HOLD_SHARE = 0.5  # of the steps at the full learning rate; then it falls as a cosine
_LAST_SHARE = 0.02  # of the learning rate, at the end
_AVERAGE = 0.999  # decay of the averaged weights
_LOG_STEPS, _VALIDATION_STEPS = 100, 500
_SAVE_S = 240.0
_OPTIONS = {"lmbda": "lambda", "lr": "learning rate", "crop_px": "crop"}  # as users know them
_PRECISIONS = ("float32", "bfloat16")
_BPP_LIMIT = 24  # of an uncompressed image
_LAMBDA_LIMIT = 1000  # above any published lambda; a larger one is a mistake


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What a training run does. `steps` may differ when a run is continued, nothing else.

    lmbda: weight of the distortion, which is 255^2 * MSE, 1 - MS-SSIM or a distance of the features
    of `vlm` (its name and version, "" for the others); `perceptual` is that of GAN training.
    batch: crops a step. crop_px: side of the square crops, a multiple of 64. lr: the highest
    learning rate. warmup: steps until it is reached. clip: largest norm of the gradient. muon: the
    optimizer of kernels, Adam if False. processes: that share the crops of a step, one a device.
    target_bpp: the rate that GAN training aims at, 0 for other trainings. adversarial: with a
    discriminator. freeze_encoder: only the synthesis is trained. stage: of a codec that is trained
    in several. base: the base model of a diffusion codec, "" for none. clip_model, dino_model:
    whose features are compared, "" for the usual ones. precision: of the networks' products;
    weights, likelihoods and losses are always float32.
    """

    lmbda: float
    steps: int
    batch: int = 8
    crop_px: int = 128
    lr: float = 1e-3
    warmup: int = 50
    clip: float = 1.0
    muon: bool = True
    seed: int = 0
    distortion: Distortion = "mse"
    vlm: str = ""
    processes: int = 1
    target_bpp: float = 0.0
    adversarial: bool = False
    freeze_encoder: bool = False
    stage: str = ""
    base: str = ""
    clip_model: str = ""
    dino_model: str = ""
    precision: str = "float32"

    def __post_init__(self) -> None:
        if not 0 < self.lmbda < _LAMBDA_LIMIT:
            limit = f"allowed are numbers above 0 and below {_LAMBDA_LIMIT}"
            raise InputError(f"lambda {self.lmbda:g}; {limit}")
        for name, least in (("steps", 1), ("batch", 1), ("seed", 0), ("processes", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} {getattr(self, name)}; allowed are {least} or more")
        if self.precision not in _PRECISIONS:
            allowed = ", ".join(_PRECISIONS)
            raise InputError(f"precision {self.precision!r}; allowed are {allowed}")
        if self.batch % self.processes:
            allowed = f"multiples of the {self.processes} devices"
            raise InputError(f"batch of {self.batch} crops; allowed are {allowed}")
        if not 0 < self.lr < math.inf:
            raise InputError(f"learning rate {self.lr:g}; allowed are numbers above 0")
        if not 0 <= self.target_bpp < _BPP_LIMIT:
            limit = f"allowed are numbers above 0 and below {_BPP_LIMIT}"
            raise InputError(f"target_bpp {self.target_bpp:g}; {limit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """Means over the last steps. psnr_db: of the crops. left_s: time left at this speed."""

    step: int
    steps: int
    loss: float
    bpp: float
    psnr_db: float
    left_s: float


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, constant for half of the steps, then a cosine down to 2 %."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    hold = max(config.warmup, round(config.steps * _HOLD_SHARE))
    if step < hold:
        return config.lr
    progress = min(1.0, (step - hold) / max(1, config.steps - hold))
    return config.lr * (_LAST_SHARE + (1 - _LAST_SHARE) * (1 + math.cos(math.pi * progress)) / 2)


def to_tensor(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """(batch, height, width, 3) uint8 -> (batch, 3, height, width) float in 0..1."""
    return torch.tensor(pictures).permute(0, 3, 1, 2).float().div_(255)


# Sets first weights: network, images to compute them from, settings, those of the weights that the
# network has (None: random).
Start: TypeAlias = Callable[[nn.Module, Tensor, TrainConfig, TrainConfig | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStage:
    """One of the stages in which a codec is trained.

    open: takes the base model's place ("" if none is given) and a device. parts: beginnings of the
    names of what is trained. objective: None for lambda * distortion + bpp. features: which of the
    models clip and dino it needs.
    """

    open: Callable[[str, torch.device], Compare]
    parts: tuple[str, ...]
    start: Start
    distortion: Distortion = "mse"
    objective: Callable[[nn.Module, TrainConfig], Objective] | None = None
    features: tuple[str, ...] = ()


class CodecTraining:
    """One run: a network, its optimizer, the averaged weights and the current step.

    Only parameters that require gradients are trained. objective: what is minimised; None: the
    rate and the distortion of `config`, where that needs no other network. compare: what is
    compared with what. process: which one of several this is, from 0.
    """

    def __init__(
        self,
        network: nn.Module,
        crops: Crops,
        config: TrainConfig,
        *,
        objective: Objective | None = None,
        compare: Compare = compare_images,
        process: int = 0,
    ) -> None:
        self._compare = compare
        self._objective: Objective = objective or RateDistortion(
            lmbda=config.lmbda, distance=partial(distortion, kind=config.distortion)
        )
        self.network = network.train()
        self.config = config
        self.step = 0
        self.process = process
        self._crops = crops
        self._device = next(network.parameters()).device
        self._named = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self._optimizer = MuonAdam(self._named.values(), muon=config.muon)
        self._average = {name: value.detach().clone() for name, value in self._named.items()}

    def run_step(self) -> tuple[float, float, float]:
        """One optimizer step: loss, bpp and mean squared error of the crops of all processes.

        Raises:
            TrainingError: the gradient is not finite.
        """
        config, step = self.config, self.step
        rng = np.random.default_rng([config.seed, step])
        torch.manual_seed(int(rng.integers(2**62)) + self.process)
        drawn = self._crops.draw(rng, config.batch)[self.process :: config.processes]
        pictures = to_tensor(drawn).to(self._device)
        self._optimizer.lr = learning_rate(config, step)
        half = config.precision == "bfloat16"
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=half):
            compared = self._compare(self.network, pictures).in_float32()
        bpp, x_hat, wanted = bpp_of(compared, pictures), compared.found, compared.wanted
        mse = (x_hat.detach() - wanted.detach()).square().mean()
        loss = self._objective.loss(x_hat, wanted, bpp)
        if compared.extra is not None:
            loss = loss + compared.extra
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        found = torch.stack([loss.detach(), bpp.detach(), mse])
        if config.processes > 1:
            mean_gradients(self._named.values())
            mean_of(found)
        norm = nn.utils.clip_grad_norm_(self._named.values(), config.clip)
        if not torch.isfinite(norm):
            raise TrainingError(f"step {step}: the gradient is not finite; lower the learning rate")
        self._optimizer.step()
        self._objective.train_own(self._optimizer.lr)
        decay = min(_AVERAGE, (1 + step) / (10 + step))
        values = [value.detach() for value in self._named.values()]
        torch._foreach_lerp_(list(self._average.values()), values, 1 - decay)
        self.step += 1
        loss_, bpp_, mse_ = found.tolist()
        return loss_, bpp_, mse_

    def _buffers(self) -> dict[str, Tensor]:
        """Running statistics, which change with every step."""
        kept = self.network.state_dict()
        return {name: value for name, value in self.network.named_buffers() if name in kept}

    def averaged(self) -> dict[str, Tensor]:
        """The network's state with averaged weights, and the quantiles that belong to them."""
        own = {name: value.detach().clone() for name, value in self._named.items()}
        with torch.no_grad():
            for name, value in self._named.items():
                value.copy_(self._average[name])
            for module in self.network.modules():
                if isinstance(module, EntropyBottleneck):
                    module.update_quantiles()
            found = {name: value.clone() for name, value in self.network.state_dict().items()}
            for name, value in self._named.items():
                value.copy_(own[name])
        return found

    def validate(self, pictures: Iterable[Rgb8]) -> tuple[float, float]:
        """Mean bpp by the likelihoods and mean PSNR (dB) of the averaged weights.

        The images' sides are multiples that the network takes.
        """
        own = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.averaged())
        self.network.eval()
        found = []
        with torch.no_grad():
            for picture in pictures:
                whole = to_tensor(picture[None]).to(self._device)
                compared = self._compare(self.network, whole)
                values = compared.found.clamp(0, 1) if compared.images else compared.found
                mse = (values - compared.wanted).square().mean()
                found.append((bpp_of(compared, whole).item(), _psnr_db(mse.item())))
        self.network.load_state_dict(own)
        self.network.train()
        bpps, psnrs_db = zip(*found, strict=True)
        return float(np.mean(bpps)), float(np.mean(psnrs_db))

    def save(self, folder: Path) -> None:
        """Write the run's state and the averaged weights, each at once or not at all."""
        tensors = {f"network.{n}": v.detach() for n, v in self._named.items()}
        tensors |= {f"average.{n}": v for n, v in self._average.items()}
        tensors |= {f"buffer.{n}": v for n, v in self._buffers().items()}
        tensors |= {f"objective.{n}": v.detach() for n, v in self._objective.state().items()}
        for name, parameter in self._named.items():
            for key, value in self._optimizer.state[parameter].items():
                tensors[f"optimizer.{key}.{name}"] = value
        about = {"step": str(self.step), "optimizer_steps": str(self._optimizer.steps)}
        about["config"] = json.dumps(asdict(self.config))
        _write(folder / STATE, tensors, about)
        _write(folder / WEIGHTS, self.averaged(), about)

    def resume(self, folder: Path) -> None:
        """Continue from `folder`. Raises InputError if its settings differ."""
        with safe_open(folder / STATE, "pt") as file:
            about = file.metadata()
        before, now = asdict(TrainConfig(**json.loads(about["config"]))), asdict(self.config)
        changed = [key for key in now if key != "steps" and before[key] != now[key]]
        if changed:
            was = ", ".join(f"{_OPTIONS.get(key, key)} {before[key]}" for key in changed)
            raise InputError(f"{folder}: was trained with {was}; allowed are the same settings")
        tensors = load_file(folder / STATE)
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(tensors[f"network.{name}"])
                self._average[name].copy_(tensors[f"average.{name}"])
                for key, value in self._optimizer.state[parameter].items():
                    value.copy_(tensors[f"optimizer.{key}.{name}"])
            for name, buffer in self._buffers().items():
                buffer.copy_(tensors[f"buffer.{name}"])
            for name, value in self._objective.state().items():
                value.copy_(tensors[f"objective.{name}"])
        self.step = int(about["step"])
        self._optimizer.steps = int(about["optimizer_steps"])


def run(
    training: CodecTraining,
    folder: Path,
    validation: Mapping[str, Sequence[Rgb8]],
    report: Callable[[TrainingProgress], None],
) -> None:
    """Train to the last step, saving into `folder` every four minutes and at the end.

    validation: groups of images by name; their bpp and PSNR go into the log.
    """
    started = saved = time.monotonic()
    first, window = training.step, []
    while training.process and training.step < training.config.steps:
        training.run_step()  # the first process measures and saves
    while training.step < training.config.steps:
        window.append(training.run_step())
        done = training.step == training.config.steps
        if training.step % _LOG_STEPS == 0 or done:
            loss, bpp, mse = (float(value) for value in np.mean(window, axis=0))
            window = []
            step_s = (time.monotonic() - started) / (training.step - first)
            progress = TrainingProgress(
                step=training.step,
                steps=training.config.steps,
                loss=loss,
                bpp=bpp,
                psnr_db=_psnr_db(mse),
                left_s=step_s * (training.config.steps - training.step),
            )
            row: dict[str, float] = {**asdict(progress), "step_s": step_s}
            if training.step % _VALIDATION_STEPS == 0 or done:
                for name, pictures in validation.items():
                    row[f"{name}_bpp"], row[f"{name}_psnr_db"] = training.validate(pictures)
            with (folder / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps({key: round(value, 4) for key, value in row.items()}) + "\n")
            report(progress)
        if done or time.monotonic() - saved > _SAVE_S:
            training.save(folder)
            saved = time.monotonic()


def trained_with(weights: Path) -> TrainConfig | None:
    """The settings stored in a training's weights; None if there are none."""
    with safe_open(weights, "pt") as file:
        about = file.metadata() or {}
    return TrainConfig(**json.loads(about["config"])) if "config" in about else None


def _psnr_db(mse: float) -> float:
    return -10 * math.log10(max(mse, 1e-10))


def _write(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    part = path.with_name(path.name + ".part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, part, about)
    part.replace(path)

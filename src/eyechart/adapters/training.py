"""The training loop: threads make images ahead. A stopped training continues exactly.

OUT/training.safetensors   the last state (see `checkpoint`)
    log.jsonl              one line for each step: loss by condition, accuracy, pairs per second
    adapter_*, README.md   the finished adapter
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from eyechart.adapters import package
from eyechart.adapters.checkpoint import LOG, cut_log, load_state, save_state
from eyechart.adapters.checks import require_images, require_training_folder
from eyechart.adapters.condition import SOURCE, Condition, Vocabulary
from eyechart.adapters.cpu_speed import speed_up_on_cpu
from eyechart.adapters.distill import (
    StepLoss,
    Teacher,
    TrainingBatch,
    build_student,
    by_condition,
    losses,
    make_batch,
    parameter_groups,
)
from eyechart.adapters.pairs import Pairs
from eyechart.adapters.recipe import Recipe, StepImage, images_shown, plan_step
from eyechart.adapters.towers import tower_of
from eyechart.adapters.trainable import changes
from eyechart.adapters.watcher import SilentWatcher, StepLog, Watcher
from eyechart.core.errors import InputError, TrainingError
from eyechart.core.types import Json, component_of
from eyechart.store.files import append_lines
from eyechart.vlms.adapter_identity import (
    CONDITIONINGS,
    FIRST_CONDITIONING,
    Conditioning,
    check_conditioning,
)
from eyechart.vlms.checkpoint import LocalVLM
from eyechart.vlms.towers import Inputs

_AHEAD = 3  # steps whose images are made before they are needed


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Settings of a training that do not change the adapter.

    save_every: steps between checkpoints. loaders: threads that make images.
    """

    out: Path
    save_every: int = 50
    loaders: int = 2
    clock: Callable[[], float] = time.monotonic


def train(
    vlm: LocalVLM,
    pairs: Pairs,
    recipe: Recipe,
    setting: TrainingSettings,
    watcher: Watcher | None = None,
    *,
    aliases: Mapping[Condition, Condition] | None = None,
) -> package.AdapterConfig:
    """Distil an adapter for a VLM and write it to `setting.out`; continues a stopped training.

    Raises:
        InputError: before any step: too few images, images that cannot be read, another training
        or other files in `out`. TrainingError: the loss is not a number. CodecError, StoreError.
    """
    return AdapterTraining(
        vlm, pairs, recipe, setting, watcher or SilentWatcher(), aliases or {}
    ).run()


class AdapterTraining:
    """One training. The constructor raises all errors of the input; `run` trains."""

    def __init__(
        self,
        vlm: LocalVLM,
        pairs: Pairs,
        recipe: Recipe,
        setting: TrainingSettings,
        watcher: Watcher,
        aliases: Mapping[Condition, Condition],
    ) -> None:
        from accelerate import Accelerator

        require_training_folder(setting.out)
        if pairs.entries[0] != SOURCE:
            raise InputError(f"the first condition is {pairs.entries[0]}, not {SOURCE}")
        held = recipe.validation_images
        if len(pairs.names) <= held:
            raise InputError(
                f"{len(pairs.names)} images are too few: {held} are held out for validation "
                "(validation_images), and some must be left to train on"
            )
        self.vlm, self.pairs, self.recipe, self.setting = vlm, pairs, recipe, setting
        self.watcher = watcher
        self.vocabulary = Vocabulary(entries=pairs.entries, aliases=aliases)
        self.train_images = range(len(pairs.names) - held)
        self.held_images = range(len(pairs.names) - held, len(pairs.names))
        # accelerate keeps one precision for the whole process, so it is not set there.
        self.accelerator = Accelerator(cpu=not torch.cuda.is_available())
        self.backbone, model = vlm.build()
        model.to(self.accelerator.device)
        self.teacher = Teacher(model)
        self.fingerprint = package.fingerprint(tower_of(model))
        self.student, self.tower = build_student(model, self.vocabulary, recipe)
        state = self.student.encoder.state_dict()
        self.base = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        optimizer = torch.optim.AdamW(parameter_groups(self.student, recipe), betas=(0.9, 0.98))
        self.student.to(self.accelerator.device)
        if self.accelerator.device.type == "cpu":
            speed_up_on_cpu(self.tower)
            speed_up_on_cpu(self.teacher.tower)
        self.wrapped, self.optimizer = self.accelerator.prepare(self.student, optimizer)
        self.variance = 1.0
        self.identity = self._identity()
        self.first = load_state(setting.out, self.student, self.optimizer, self.identity)
        shown = images_shown(recipe, self.train_images, self.first, self.accelerator.num_processes)
        require_images(pairs, [*shown, *self.held_images], self.backbone, setting.loaders)

    def run(self) -> package.AdapterConfig:
        """Validate, train, validate, save."""
        try:
            self.setting.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.setting.out}: cannot be made ({error.strerror})") from error
        step = self.first
        if self.accelerator.is_main_process:
            cut_log(self.setting.out, step)
        self.pairs.prepare(self._wanted(step))
        before = self._validate_base()
        self.watcher.validated(0, before)
        began_s = self.setting.clock()
        for batch in self.batches(step):
            log = self.step(step, batch)
            step += 1
            if self.accelerator.is_main_process:
                append_lines(self.setting.out / LOG, [json.dumps(asdict(log))])
                self.watcher.stepped(log, self.recipe.steps)
                if step % self.setting.save_every == 0 or step == self.recipe.steps:
                    save_state(self.setting.out, self.student, self.optimizer, step, self.identity)
        cost_s = (self.setting.clock() - began_s) * self.recipe.steps / max(1, step - self.first)
        after: dict[str, Json] = {}
        for conditioning in CONDITIONINGS:
            errors, named = self._validate(conditioning)
            after[conditioning] = errors
            if conditioning == self.recipe.conditioning:
                self.watcher.validated(step, errors)
        results: dict[str, Json] = {
            "feature_error_before": before,
            "feature_error": after,
            "estimator_accuracy": named,
        }
        config = self._config(cost_s, results)
        if self.accelerator.is_main_process:
            self._save(config)
        return config

    # --- one step -----------------------------------------------------------------------------

    def step(self, step: int, batch: TrainingBatch) -> StepLog:
        start_s = self.setting.clock()
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * self.recipe.rate_factor(step)
        targets = self._seen_by_teacher(batch.clean)
        parts = []
        for units in self._parts(len(batch.rows)):
            with self._autocast():
                part = self._losses(self.wrapped, batch, units, targets)
            self._require_finite(step, batch, units, part)
            self.accelerator.backward(part.loss)
            parts.append(part)
        norm = self.accelerator.clip_grad_norm_(self._clipped(), 1.0)
        if not math.isfinite(float(norm)):
            raise self._diverged(step, f"gradient is {float(norm)}")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        errors = torch.cat([part.errors for part in parts]).tolist()
        right = torch.cat([part.named for part in parts]).float()
        elapsed_s = max(self.setting.clock() - start_s, 1e-9)
        return StepLog(
            step=step + 1,
            loss=sum(errors) / len(errors),
            by_condition=by_condition(batch.rows, errors, self.vocabulary.entries),
            estimator=float(right.mean()),
            pairs=len(errors),
            pairs_per_s=round(len(errors) / elapsed_s, 2),
        )

    def _losses(
        self, student: nn.Module, batch: TrainingBatch, units: slice, targets: list[torch.Tensor]
    ) -> StepLoss:
        return losses(student, self.tower, batch, units, targets, self.variance, self.recipe.error)

    def _seen_by_teacher(self, inputs: Inputs) -> list[torch.Tensor]:
        found: list[torch.Tensor] = []
        layout = self.teacher.tower.layout
        for units in self._parts(layout.units(inputs)):
            with self._autocast():
                found += self.teacher.features_by_unit(
                    self.teacher.tower.layout.select(inputs, units)
                )
        return found

    def _autocast(self) -> torch.autocast:
        device = self.accelerator.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.recipe.bf16)

    def _clipped(self) -> list[nn.Parameter]:
        # Without the estimator, whose larger gradients would reduce those of the encoder.
        parts = (self.student.encoder, self.student.conditioner.injection)
        return [p for part in parts for p in part.parameters() if p.requires_grad]

    def _parts(self, units: int) -> Iterator[slice]:
        size = self.recipe.micro_pairs or units
        return (slice(start, min(start + size, units)) for start in range(0, units, size))

    def _require_finite(
        self, step: int, batch: TrainingBatch, units: slice, part: StepLoss
    ) -> None:
        if torch.isfinite(part.loss):
            return
        bad = (~torch.isfinite(part.errors)).nonzero().flatten().tolist()
        where = f" ({batch.names[units][bad[0]]})" if bad else " (of the estimator)"
        raise self._diverged(step, f"loss is {part.loss.item()}{where}")

    def _diverged(self, step: int, what: str) -> TrainingError:
        kept = step - step % self.setting.save_every
        saved = f"the checkpoint of step {kept} is kept" if kept else "nothing was saved yet"
        return TrainingError(
            f"{what} at step {step + 1}; {saved} in {self.setting.out}; lower the learning rate"
        )

    # --- images -----------------------------------------------------------------------------

    def batches(self, first: int) -> Iterator[TrainingBatch]:
        """The batches of all steps from `first` on, some of them made ahead in threads."""
        device = self.accelerator.device
        with ThreadPoolExecutor(self.setting.loaders) as pool:
            waiting: list[Future[TrainingBatch]] = []
            try:
                for step in range(first, self.recipe.steps + _AHEAD):
                    if step < self.recipe.steps:
                        waiting.append(pool.submit(self._batch, self._plan(step)))
                    if waiting and (len(waiting) > _AHEAD or step >= self.recipe.steps):
                        yield _on(device, waiting.pop(0).result())
            finally:
                for future in waiting:
                    future.cancel()

    def _wanted(self, first: int) -> Iterator[tuple[int, Condition]]:
        """All images that this process shows from step `first` on, with their conditions."""
        for image in self.held_images:
            for entry in self.vocabulary.entries:
                yield image, entry
        for step in range(first, self.recipe.steps):
            for shown in self._plan(step):
                for entry in shown.entries:
                    yield shown.image, entry

    def _plan(self, step: int) -> list[StepImage]:
        return plan_step(
            self.recipe,
            step,
            self.train_images,
            self.vocabulary.entries,
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )

    def _batch(self, shown: Sequence[StepImage]) -> TrainingBatch:
        return make_batch(self.pairs, shown, self.backbone, self.teacher.tower, self.vocabulary)

    # --- validation ---------------------------------------------------------------------------

    def _validate_base(self) -> dict[str, float]:
        """Feature errors without an adapter. Sets the variance that errors are divided by."""
        sums: list[torch.Tensor] = []
        for image in self.held_images:
            batch = _on(self.accelerator.device, self._batch([self._held(image, SOURCE)]))
            sums += self._seen_by_teacher(batch.clean)
        self.variance = float(torch.cat(sums).var(0).mean())
        if not self.variance > 0:
            raise InputError("the VLM gives all held-out images the same features")
        totals: dict[str, list[float]] = {}
        for image in self.held_images:
            batch = _on(self.accelerator.device, self._batch([self._held(image)]))
            goals = self._seen_by_teacher(batch.clean)
            made = self._seen_by_teacher(batch.student)
            for row, unit, target in zip(
                batch.rows, made, batch.target_of_unit.tolist(), strict=True
            ):
                error = float((unit - goals[target]).square().mean()) / self.variance
                totals.setdefault("/".join(self.vocabulary.entries[row]), []).append(error)
        return {name: sum(errors) / len(errors) for name, errors in totals.items()}

    @torch.no_grad()
    def _validate(self, conditioning: Conditioning) -> tuple[dict[str, float], float]:
        """Feature errors on held-out images, and the estimator's accuracy."""
        errors: list[float] = []
        rows: list[int] = []
        right: list[bool] = []
        self.tower.module.eval()
        self.student.conditioner.conditioning = conditioning
        for image in self.held_images:
            batch = _on(self.accelerator.device, self._batch([self._held(image)]))
            targets = self._seen_by_teacher(batch.clean)
            for units in self._parts(len(batch.rows)):
                with self._autocast():
                    part = self._losses(self.student, batch, units, targets)
                errors += part.errors.tolist()
                right += part.named.tolist()
            rows += batch.rows
        self.tower.module.train()
        self.student.conditioner.conditioning = "labelled"
        return by_condition(rows, errors, self.vocabulary.entries), sum(right) / len(right)

    def _held(self, image: int, *entries: Condition) -> StepImage:
        shown = entries or self.vocabulary.entries
        rows = tuple(self.vocabulary.row(*entry) for entry in shown)
        return StepImage(image=image, entries=shown, given_rows=rows)

    # --- what is written ----------------------------------------------------------------------

    def _identity(self) -> dict[str, Json]:
        """What changes the trained weights. A saved state with another identity is refused."""
        recipe = asdict(self.recipe)
        del recipe["conditioning"]  # chosen after training
        recipe[FIRST_CONDITIONING] = "labelled"  # as in states that were saved before 0.2.0
        if self.recipe.error == "squared":
            del recipe["error"]  # likewise
        return {
            "vlm": asdict(component_of(self.vlm)),
            "images": list(self.pairs.names),
            "pictures": self.pairs.digest(),
            "codecs": [asdict(codec) for codec in self.pairs.codecs],
            "entries": [list(entry) for entry in self.vocabulary.entries],
            "recipe": recipe,
            "processes": self.accelerator.num_processes,
        }

    def _config(self, cost_s: float, results: Mapping[str, Json]) -> package.AdapterConfig:
        base = component_of(self.vlm)
        recipe = asdict(self.recipe)
        device = self.accelerator.device.type
        return package.AdapterConfig(
            base={**asdict(base), "family": self.vlm.family},
            fingerprint=self.fingerprint,
            vocabulary=self.vocabulary,
            injection=self.recipe.injection,
            trainable=self.recipe.trainable,
            conditioning=check_conditioning(self.recipe.conditioning),
            codecs=self.pairs.codecs,
            training={
                **recipe,
                "images": len(self.train_images),
                "pairs": self.recipe.steps
                * len(self._plan(0)[0].entries)
                * self.recipe.images_a_step
                * self.accelerator.num_processes,
                "cost_s": round(cost_s, 1),
                "device": f"{self.accelerator.num_processes} x {device}",
            },
            results=results,
        )

    def _save(self, config: package.AdapterConfig) -> None:
        changed = changes(self.tower, self.base)
        package.save(self.setting.out, config, self.student.conditioner, changed)


def _on(device: torch.device, batch: TrainingBatch) -> TrainingBatch:
    return replace(
        batch,
        clean={key: tensor.to(device) for key, tensor in batch.clean.items()},
        student={key: tensor.to(device) for key, tensor in batch.student.items()},
    )

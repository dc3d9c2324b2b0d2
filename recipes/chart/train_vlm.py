"""Train the built-in VLM from random weights on rendered scenes, one size or several at once.

    python -m recipes.chart.train_vlm --out RUN [--size s m l] [--steps 6000] [--batch 64]

Several sizes get the same batches, one after the other, so that images are drawn once. For each
size RUN/SIZE/log.jsonl is the learning curve and RUN/SIZE/model a complete `from_pretrained`
directory. Resumable: the same command continues from the last checkpoint. Runs on a CPU or one GPU
(bf16 matrix products, float32 weights). Worker processes draw the scenes during training; no scene
is used twice.

With --seconds the learning rate also falls with the time, so that a run ends with its time; such a
run depends on the speed of the machine, and its log says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recipes.chart.curriculum import Batches, drawn_batches, prepare, training_texts
from recipes.chart.student import ChartStudent, losses, optimizers, start_matching
from recipes.chart.vlm import SIZES, build_image_processor, build_model, build_tokenizer

VALIDATION_SEED = 10_000_000  # held-out scenes that no task file uses
MATCH_AT_SCENES = 32_000
WARM_UP = 0.02  # of the training
HITS_EVERY = 5  # steps; counting right answers of every step would only cost time
_AHEAD = 4  # batches on the device before they are used


def rate_factor(progress: float) -> float:
    """Learning rate over its base at a share of the training (0 to 1): a short warm-up, constant,
    linear to zero in the last half."""
    return max(0.0, min((progress + WARM_UP / 100) / WARM_UP, 1.0, 2 * (1 - progress)))


class Trainee:
    """One size in training: model, optimizers, files and what was counted since the last log."""

    def __init__(self, args: argparse.Namespace, size: str, tokenizer: Any) -> None:
        self.folder = args.out / size
        self.folder.mkdir(parents=True, exist_ok=True)
        self.size, self.tokenizer, self.probe_weight = size, tokenizer, args.probe_weight
        self.model = build_model(tokenizer, size).to(args.device)
        self.student = ChartStudent(self.model, tokenizer).to(args.device)
        self.opts = optimizers(self.student, args.lr)
        self.rates = [[group["lr"] for group in opt.param_groups] for opt in self.opts]
        self.forward = torch.compile(self.student) if args.compile else self.student
        self.sums: list[Tensor] = []
        self.hits: list[tuple[tuple[str, ...], Tensor]] = []
        self.step_s = 0.0

    def step(self, batch: dict[str, Any], rate: float, counted: bool) -> None:
        """One step of gradient descent, without waiting for the device."""
        answer_loss, probe_loss, hits = losses(self.student, self.forward, batch)
        (answer_loss + self.probe_weight * probe_loss).backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        for opt, rates in zip(self.opts, self.rates, strict=True):
            for group, base in zip(opt.param_groups, rates, strict=True):
                group["lr"] = base * rate
            opt.step()
            opt.zero_grad(set_to_none=True)
        self.sums.append(torch.stack([answer_loss.detach(), probe_loss.detach()]))
        if counted:
            self.hits.append((batch["kinds"], hits))

    def means(self) -> dict[str, Any]:
        """Losses and right answers since the last call."""
        answer, probe = torch.stack(self.sums).mean(0).tolist()
        right = right_by_kind(self.hits)
        self.sums, self.hits = [], []
        return {"answer_loss": round(answer, 4), "probe_loss": round(probe, 4), "right": right}

    @torch.no_grad()
    def validate(self, held_out: Iterable[dict[str, Any]], device: str) -> dict[str, float]:
        """Share of fully right answers per question type on held-out scenes (teacher-forced)."""
        return right_by_kind(
            (batch["kinds"], losses(self.student, self.student, on_device(batch, device))[2])
            for batch in held_out
        )

    def log(self, entry: dict[str, Any]) -> None:
        """Append one line to the learning curve."""
        with (self.folder / "log.jsonl").open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    def save(self, step: int, seconds: float) -> None:
        """Write a complete model directory and the state for resuming; no pickle."""
        for part in (self.model, self.tokenizer, build_image_processor()):
            part.save_pretrained(self.folder / "model")
        state = {f"probe.{k}": v.contiguous() for k, v in self.student.probe.state_dict().items()}
        state |= {f"model.{k}": v for k, v in self.model.model.state_dict().items()}
        for o, opt in enumerate(self.opts):
            for i, values in opt.state_dict()["state"].items():
                state |= {f"opt{o}.{i}.{k}": v.contiguous() for k, v in values.items()}
        about = {"step": str(step), "seconds": str(seconds)}
        save_file(state, self.folder / "resume.tmp", metadata=about)
        (self.folder / "resume.tmp").replace(self.folder / "resume.safetensors")

    def resume(self) -> tuple[int, float]:
        """Load the last checkpoint; -> the next step and the seconds so far (0 without one)."""
        file = self.folder / "resume.safetensors"
        if not file.is_file():
            return 0, 0.0
        state = load_file(file)
        for prefix, part in (("model.", self.model.model), ("probe.", self.student.probe)):
            part.load_state_dict(
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            )
        for o, opt in enumerate(self.opts):
            values: dict[int, dict[str, Tensor]] = defaultdict(dict)
            for key, tensor in state.items():
                if key.startswith(f"opt{o}."):
                    _, index, name = key.split(".", 2)
                    values[int(index)][name] = tensor
            groups = opt.state_dict()["param_groups"]
            opt.load_state_dict({"state": dict(values), "param_groups": groups})
        with safe_open(file, "pt") as opened:
            about = opened.metadata()
        return int(about["step"]), float(about["seconds"])


def right_by_kind(hits: Iterable[tuple[tuple[str, ...], Tensor]]) -> dict[str, float]:
    """Question type -> share of right answers, from (types, hits) of several batches."""
    table: dict[str, list[bool]] = defaultdict(list)
    for kinds, right in hits:
        for kind, hit in zip(kinds, right.tolist(), strict=True):
            table[kind].append(hit)
    return {kind: round(float(np.mean(values)), 3) for kind, values in sorted(table.items())}


def on_device(batch: dict[str, Any], device: str) -> dict[str, Any]:
    """The batch's arrays as tensors on the device; copies to a GPU do not wait for it."""
    moved = dict(batch)
    for name, array in batch.items():
        if name != "kinds":
            tensor = torch.from_numpy(array)
            if device != "cpu":
                tensor = tensor.pin_memory().to(device, non_blocking=True)
            moved[name] = tensor
    return moved


def ahead(batches: Iterator[dict[str, Any]], device: str) -> Generator[dict[str, Any], None, None]:
    """The batches on the device. For a GPU a thread receives and copies the next ones, until the
    generator is closed."""
    if device == "cpu":
        yield from (on_device(batch, device) for batch in batches)
        return
    ready: queue.Queue[dict[str, Any] | Exception] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def put(item: dict[str, Any] | Exception) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.2)
                return

    def fill() -> None:
        try:
            for batch in batches:
                put(on_device(batch, device))
                if stop.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised again below
            put(error)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            batch = ready.get()
            if isinstance(batch, Exception):
                raise batch
            yield batch
    finally:
        stop.set()
        thread.join()


def load_or_build_tokenizer(out: Path, sizes: Iterable[str]) -> Any:
    """The tokenizer of an earlier start of this run, else a new one."""
    for size in sizes:
        if (out / size / "model" / "tokenizer.json").is_file():
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(out / size / "model")
    return build_tokenizer(training_texts())


def synchronise(device: str) -> None:
    """Wait until the device has done all that was asked of it."""
    if device != "cpu":
        torch.cuda.synchronize()


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Train the built-in VLM.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", nargs="+", choices=tuple(SIZES), default=["m"])
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seconds", type=float, help="end after this time, if it is earlier")
    parser.add_argument("--stop-at", type=int, help="stop at this step, before --steps")
    parser.add_argument("--batch", type=int, default=64, help="scenes a step")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--lr", type=float, default=0.006, help="of the matrices (Muon)")
    parser.add_argument("--match-at", type=int, default=MATCH_AT_SCENES, help="scenes seen")
    parser.add_argument("--probe-weight", type=float, default=1.0)
    parser.add_argument("--log-every", type=int, default=50, help="steps")
    parser.add_argument("--save-every", type=int, default=1000, help="steps")
    parser.add_argument("--validate-every", type=int, default=500, help="steps")
    parser.add_argument("--held-out", type=int, default=512, help="scenes to validate on")
    return parser.parse_args(words)


def train(args: argparse.Namespace) -> None:
    """Train all sizes of the command line side by side."""
    prepare()
    tokenizer = load_or_build_tokenizer(args.out, args.size)
    held_out = Batches(tokenizer, "test", VALIDATION_SEED, 32, -(-args.held_out // 32))
    validation = list(drawn_batches(held_out, args.workers))
    trainees = [Trainee(args, size, tokenizer) for size in args.size]
    positions = {trainee.resume() for trainee in trainees}
    if len({step for step, _ in positions}) > 1:
        raise SystemExit(f"{args.out}: the sizes were saved at different steps; train them alone")
    step, before_s = min(positions)
    for trainee in trainees:
        trainee.log(
            {
                "settings": {k: str(v) for k, v in vars(args).items()},
                "device": torch.cuda.get_device_name() if args.device != "cpu" else "cpu",
                "parameters": sum(p.numel() for p in trainee.model.parameters()),
            }
        )
    drawn = drawn_batches(Batches(tokenizer, "train", step * args.batch, args.batch), args.workers)
    with contextlib.closing(ahead(drawn, args.device)) as batches:
        Loop(args, trainees, validation, step, before_s).run(batches)


class Loop:
    """The training loop over all sizes, with its clock."""

    def __init__(
        self,
        args: argparse.Namespace,
        trainees: list[Trainee],
        validation: list[dict[str, Any]],
        step: int,
        before_s: float,
    ) -> None:
        self.args, self.trainees, self.validation = args, trainees, validation
        self.step, self.logged_step, self.logged_s = step, step, before_s
        self.before_s, self.began = before_s, time.monotonic()

    def elapsed_s(self) -> float:
        """Seconds of training, also those before a break."""
        return self.before_s + time.monotonic() - self.began

    def progress(self) -> float:
        """Share of the training that is done, by steps or by time, whichever is further."""
        timed = self.elapsed_s() / self.args.seconds if self.args.seconds else 0.0
        return max(float(self.step / self.args.steps), float(timed))

    def run(self, batches: Iterator[dict[str, Any]]) -> None:
        """Train until the steps or the seconds are over, or until every size has failed."""
        args = self.args
        stop_at = min(args.steps, args.stop_at or args.steps)
        batch = next(batches)
        self.began = time.monotonic()  # the first batch waits for the workers' start
        while self.step < stop_at and self.trainees:
            progress = self.progress()
            last = progress >= 1.0 or self.step + 1 == stop_at
            self._step(batch, rate_factor(progress), last)
            if last:
                return
            batch = next(batches)

    def _step(self, batch: dict[str, Any], rate: float, last: bool) -> None:
        args = self.args
        if self.step == -(-args.match_at // args.batch):
            for trainee in self.trainees:
                start_matching(trainee.student)
        number = self.step + 1
        logged = number % args.log_every == 0 or last
        for trainee in self.trainees:
            if logged:
                synchronise(args.device)
            began = time.monotonic()
            trainee.step(batch, rate, logged or number % HITS_EVERY == 0)
            if logged:
                synchronise(args.device)
                trainee.step_s = time.monotonic() - began
        self.step = number
        if logged:
            self._log(number % args.validate_every == 0 or last)
        if number % args.save_every == 0 or last:
            for trainee in self.trainees:
                trainee.save(number, self.elapsed_s())

    def _log(self, validated: bool) -> None:
        args, elapsed = self.args, self.elapsed_s()
        speed = (self.step - self.logged_step) * args.batch / max(1e-9, elapsed - self.logged_s)
        self.logged_step, self.logged_s = self.step, elapsed
        for trainee in list(self.trainees):
            entry: dict[str, Any] = {"step": self.step, "scenes": self.step * args.batch}
            entry |= trainee.means()
            entry |= {
                "seconds": round(elapsed, 1),
                "scenes_per_s": round(speed, 1),
                "step_s": round(trainee.step_s, 4),
            }
            if not np.isfinite(entry["answer_loss"] + entry["probe_loss"]):
                print(f"{trainee.size}: loss is not finite; its last checkpoint is kept")
                self.trainees.remove(trainee)
                continue
            if validated and self.validation:
                entry["held_out"] = trainee.validate(self.validation, args.device)
            trainee.log(entry)
            shares = entry.get("held_out", entry["right"]).values()
            print(
                f"{trainee.size} step {self.step} {elapsed:.0f} s  "
                f"answer {entry['answer_loss']:.3f}  probe {entry['probe_loss']:.2f}  "
                f"right {np.mean([*shares]):.1%}  {speed:.0f} scenes/s",
                flush=True,
            )


if __name__ == "__main__":
    train(parse())

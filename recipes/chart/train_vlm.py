"""Train the built-in VLM from random weights on rendered scenes.

    python -m recipes.chart.train_vlm --out RUN [--steps 6000] [--batch 24] [--device auto]

Resumable: the same command continues from RUN's last checkpoint. RUN/log.jsonl is the learning
curve, RUN/model is a complete `from_pretrained` directory. Runs on a CPU (bf16 matrix products,
float32 weights) or on one GPU. Worker processes draw the scenes during training; no scene is
used twice.

A second loss trains each visual token to predict the names of the things at its place, as word
embeddings of the language model. With the loss of the answers alone a model this small hardly
learns to use the image. With a separate classifier in place of the word embeddings the vision tower
learns, and the language model is slow to use its features.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recipes.chart.asking import LETTERS, ChartQuestion
from recipes.chart.forward import ChartForward
from recipes.chart.packing import Packer, attention_mask
from recipes.chart.pages import ask_page, sample_page
from recipes.chart.questions import TARGET_NAMES, WEIGHTS, ask, token_targets
from recipes.chart.render import render
from recipes.chart.sample import sample_scene
from recipes.chart.scene import Scene
from recipes.chart.vlm import build_image_processor, build_model, build_tokenizer

QUESTIONS_A_SCENE = 18  # questions made; those that fit into a row are packed
# A curriculum: at first only questions about existence, colour and text; later all types, in which
# the first ones stay frequent, because otherwise they are forgotten.
EASY = {"pope": 6.0, "gqa_query_color": 3.0, "gqa_query_quarter": 2.0, "gqa_query_shape": 2.0,
        "gqa_query_place": 0.5, "gqa_query_group": 1.0, "gqa_choose_color": 1.0, "coco": 1.0,
        "ocr_recognition": 6.0, "seed_identity": 1.0}  # fmt: skip
EASY_SCENES = 6_000
# Once existence is learned, few of its questions are needed; places and numbers need most.
HARD = {"pope": 2.0, "seed_location": 4.0, "mmbench_localization": 4.0, "seed_relation": 4.0,
        "mmbench_spatial": 4.0, "gqa_choose_side": 2.0, "gqa_choose_relation": 2.0,
        "gqa_verify_relation": 2.0, "gqa_verify_side": 1.0, "mme_position": 2.0,
        "seed_counting": 3.0, "mme_count": 2.0, "mmbench_prediction": 2.0}  # fmt: skip
LATER = {
    name: 0.7 * share + EASY.get(name, 0.0) + HARD.get(name, 0.0) for name, share in WEIGHTS.items()
}
PAGE_EVERY = 4  # one in so many training scenes is a page of signs
VALIDATION_SEED = 10_000_000  # held-out scenes that no task file uses


IS_THERE = re.compile(r"Is there (?:an?|some) (\w+) in th(?:e|is) image\?")


def target_answer(asked: ChartQuestion) -> str:
    """The answer that the VLM is trained to give, in a form that the scorers parse.

    For multiple choice the text of the right option ("red"): for the letter the model would have to
    find the text among the options first. For existence with the name ("dog. Yes"), because the
    model learns early to name what matches the question.
    """
    if asked.options:
        return asked.options[LETTERS.index(asked.answer)]
    there = IS_THERE.match(asked.question)
    if there and asked.answer.lower() == "yes":
        return f"{there[1]}. {asked.answer}"
    return asked.answer


class Scenes(torch.utils.data.IterableDataset[dict[str, Any]]):
    """Endless packed scenes from seed `start`; worker w of n draws every n-th."""

    def __init__(self, tokenizer: Any, split: Any, start: int, stop: int | None = None) -> None:
        self.tokenizer, self.split, self.start, self.stop = tokenizer, split, start, stop

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = torch.utils.data.get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        if worker:  # in this process the setting would slow down the training
            torch.set_num_threads(1)
        packer = Packer(self.tokenizer)
        seed = self.start + first
        while self.stop is None or seed < self.stop:
            scene, asks = self._draw(seed)
            row = packer.pack(
                [(f"{a.task}/{a.category}", a.prompt, target_answer(a)) for a in asks]
            )
            yield {
                "image": render(scene),
                "shown": token_targets(scene),
                **{n: getattr(row, n) for n in ("ids", "position", "block", "target", "weight")},
                "kinds": row.kinds,
            }
            seed += step

    def _draw(self, seed: int) -> tuple[Scene, list[ChartQuestion]]:
        if self.split == "train" and seed % PAGE_EVERY == 0:
            page = sample_page(seed)
            return page, ask_page(page)
        scene = sample_scene(self.split, seed)
        shares = EASY if seed < EASY_SCENES else LATER
        asks = ask(scene, np.random.default_rng([seed, 1]), QUESTIONS_A_SCENE, shares)
        return scene, balanced(asks)


def balanced(asks: list[ChartQuestion]) -> list[ChartQuestion]:
    """Keep as many No as Yes answers to "is there a ...?". Most kinds are absent from a scene, and
    a model that is trained on more No than Yes answers No too often."""
    present = sum(a.task == "POPE" and a.answer == "Yes" for a in asks)
    kept, absent = [], 0
    for a in asks:
        if a.task == "POPE" and a.answer == "No":
            absent += 1
            if absent > max(present, 1):
                continue
        kept.append(a)
    return kept


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack the arrays of a batch; question types stay lists."""
    batch = {k: torch.from_numpy(np.stack([i[k] for i in items])) for k in items[0] if k != "kinds"}
    return {**batch, "kinds": [item["kinds"] for item in items]}


def loader(scenes: Scenes, batch: int, workers: int) -> Iterator[dict[str, Any]]:
    """Batches in a fixed order, drawn ahead by `workers` processes."""
    return iter(
        torch.utils.data.DataLoader(
            scenes,
            batch_size=batch,
            num_workers=workers,
            collate_fn=collate,
            prefetch_factor=4 if workers else None,
        )
    )


class ChartStudent(nn.Module):
    """The VLM's forward pass, and a classifier (probe) of its visual tokens.

    A token's logit for a name is its product with the name's word embedding (with and without a
    leading space), so the vision tower learns features that the language model can use.
    """

    name_ids: Tensor

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.network = ChartForward(model)
        self.first = Packer(tokenizer).first
        ids = [
            [tokenizer(text, add_special_tokens=False)["input_ids"][-1] for text in (n, f" {n}")]
            for n in TARGET_NAMES
        ]
        self.register_buffer("name_ids", torch.tensor(ids), persistent=False)
        self.probe = nn.ParameterDict(
            {"scale": torch.tensor(1.0), "bias": torch.full((len(TARGET_NAMES),), -3.0)}
        )

    def forward(self, image: Tensor, ids: Tensor, position: Tensor, mask: Tensor) -> Any:
        """Hidden states (B, L, D) and probe logits (B, 64, T)."""
        visual_BND = self.network.encode_images(image)
        hidden_BLD = self.network.hidden_states(ids, visual_BND, self.first, position, mask)
        words_TD = self.network.language.embed_tokens(self.name_ids).sum(1)
        shown = self.probe["scale"] * F.linear(visual_BND, words_TD) + self.probe["bias"]
        return hidden_BLD, shown


def losses(student: ChartStudent, forward: Any, batch: dict[str, Any], device: str) -> Any:
    """(answer loss, probe loss, hits): hits[b][q] is True where every token of the answer is."""
    use = {k: v.to(device) for k, v in batch.items() if k != "kinds"}
    mask = attention_mask(use["block"])
    with torch.autocast(device, dtype=torch.bfloat16):
        hidden, shown = forward(use["image"], use["ids"], use["position"].transpose(0, 1), mask)
        where = use["target"] >= 0
        logits = student.network.head(hidden[where]).float()
    token_loss = F.cross_entropy(logits, use["target"][where], reduction="none")
    weight = use["weight"][where]
    answer_loss = (token_loss * weight).sum() / weight.sum()
    # A token shows few things, so positives of rare targets have a larger weight.
    probe_loss = F.binary_cross_entropy_with_logits(
        shown.float(),
        use["shown"].float(),
        pos_weight=torch.tensor(4.0, device=device),
        reduction="none",
    )
    right = logits.argmax(-1) == use["target"][where]
    return answer_loss, probe_loss.sum(-1).mean(), (right.cpu(), where.cpu())


def hits_by_kind(batch: dict[str, Any], hits: Any) -> dict[str, list[bool]]:
    """Question type -> for each question whether every token of the answer was predicted."""
    right, where = hits
    table: dict[str, list[bool]] = defaultdict(list)
    good = torch.zeros_like(where)
    good[where] = right
    for b, kinds in enumerate(batch["kinds"]):
        for q, kind in enumerate(kinds, start=1):
            mine = (batch["block"][b] == q) & where[b]
            table[kind].append(bool(good[b][mine].all()))
    return table


def optimizers(student: ChartStudent, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside blocks, AdamW for embeddings, norms, biases and the probe."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in student.named_parameters():
        inside = ".blocks." in name or ".layers." in name or ".merger.mlp" in name
        (matrices if parameter.ndim == 2 and inside else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.1, momentum=0.95),
        torch.optim.AdamW(others, lr=lr / 5, betas=(0.9, 0.98), weight_decay=0.0),
    ]


@torch.no_grad()
def start_matching(
    student: ChartStudent, heads: int = 3, layers: int = 2, scale: float = 1.4
) -> None:
    """Initialise some heads of the first layers so that a word attends to tokens that show it.

    To answer whether a thing is in the image, a word must be compared with the visual tokens, which
    random attention learns very slowly. Query and key of these heads become the same projection to
    the subspace of the names' embeddings, so that their product is the similarity of word and token
    (as the mimetic initialisation of Trockman and Kolter, 2023). Only rotary dimensions of low
    frequency are used, so that the similarity does not depend on the distance.
    """
    language = student.network.language
    names_TD = language.embed_tokens(student.name_ids).sum(1)
    axes = torch.linalg.svd(names_TD - names_TD.mean(0), full_matrices=False).Vh
    first = language.layers[0].self_attn
    half = first.head_dim // 2
    slow = [d + h for d in range(half - 1, 5, -1) for h in (0, half)]  # slowest pair first
    for layer in language.layers[:layers]:
        attn = layer.self_attn
        for head in range(heads):
            rows = slice(head * first.head_dim, (head + 1) * first.head_dim)
            matrix = torch.zeros(first.head_dim, names_TD.shape[1], device=axes.device)
            matrix[slow] = scale * axes[head * len(slow) : (head + 1) * len(slow)]
            for projection in (attn.q_proj, attn.k_proj):
                projection.weight[rows] = matrix
                projection.bias[rows] = 0


def rate_factor(step: int, steps: int) -> float:
    """Learning rate over its base: short warm-up, constant, linear to zero in the last half."""
    return min((step + 1) / 50, 1.0, 2 * (1 - step / steps))


def save(
    out: Path, model: Any, student: ChartStudent, opts: Any, step: int, tokenizer: Any
) -> None:
    """Write a complete model directory and the state for resuming; no pickle."""
    model.save_pretrained(out / "model")
    tokenizer.save_pretrained(out / "model")
    build_image_processor().save_pretrained(out / "model")
    state = {f"probe.{k}": v.contiguous() for k, v in student.probe.state_dict().items()}
    for o, opt in enumerate(opts):
        for i, values in opt.state_dict()["state"].items():
            state |= {f"opt{o}.{i}.{k}": v.contiguous() for k, v in values.items()}
    save_file(state, out / "resume.tmp", metadata={"step": str(step)})
    (out / "resume.tmp").replace(out / "resume.safetensors")
    (out / "resume.json").write_text(json.dumps({"step": step}))


def resume(out: Path, model: Any, student: ChartStudent, opts: Any) -> int:
    """Load the last checkpoint; -> the next step (0 without one)."""
    if not (out / "resume.json").is_file():
        return 0
    from transformers import Qwen2_5_VLForConditionalGeneration

    saved = Qwen2_5_VLForConditionalGeneration.from_pretrained(out / "model")
    model.load_state_dict(saved.state_dict())
    state = load_file(out / "resume.safetensors")
    student.probe.load_state_dict(
        {k.removeprefix("probe."): v for k, v in state.items() if k.startswith("probe.")}
    )
    for o, opt in enumerate(opts):
        values: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for key, tensor in state.items():
            if key.startswith(f"opt{o}."):
                _, index, name = key.split(".", 2)
                values[int(index)][name] = tensor
        opt.load_state_dict(
            {"state": dict(values), "param_groups": opt.state_dict()["param_groups"]}
        )
    return int(json.loads((out / "resume.json").read_text())["step"])


@torch.no_grad()
def validate(student: ChartStudent, tokenizer: Any, device: str, scenes: int) -> dict[str, float]:
    """Share of fully right answers per question type on held-out scenes (teacher-forced)."""
    start = VALIDATION_SEED
    table: dict[str, list[bool]] = defaultdict(list)
    for batch in loader(Scenes(tokenizer, "test", start, start + scenes), 32, workers=0):
        *_, hits = losses(student, student, batch, device)
        for kind, values in hits_by_kind(batch, hits).items():
            table[kind] += values
    return {kind: round(float(np.mean(values)), 3) for kind, values in sorted(table.items())}


def training_texts(scenes: int = 3000) -> Iterator[str]:
    """Prompts and answers from which the tokenizer is learned."""
    for seed in range(scenes):
        for a in ask(sample_scene("train", seed), np.random.default_rng([seed, 1]), 8):
            yield a.prompt
            yield target_answer(a)


def main() -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Train the built-in VLM.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--stop-at", type=int, help="stop at this step, before --steps")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--lr", type=float, default=0.005, help="of the matrices (Muon)")
    parser.add_argument("--match-at", type=int, help="the step before which matching starts")
    parser.add_argument("--probe-weight", type=float, default=1.0)
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument("--validate-every", type=int, default=400)
    args = parser.parse_args()
    train(args)


def train(args: argparse.Namespace) -> None:
    """The training loop."""
    args.out.mkdir(parents=True, exist_ok=True)
    if (args.out / "model" / "tokenizer.json").is_file():
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(args.out / "model")
    else:
        tokenizer = build_tokenizer(training_texts())
    model = build_model(tokenizer).to(args.device)
    student = ChartStudent(model, tokenizer).to(args.device)
    opts = optimizers(student, args.lr)
    base = [[group["lr"] for group in opt.param_groups] for opt in opts]
    step = resume(args.out, model, student, opts)
    forward = torch.compile(student) if args.compile else student
    batches = loader(Scenes(tokenizer, "train", step * args.batch), args.batch, args.workers)
    log = (args.out / "log.jsonl").open("a")
    seen: dict[str, list[bool]] = defaultdict(list)
    window: list[tuple[float, float]] = []
    began = time.monotonic()
    stop_at = min(args.steps, args.stop_at or args.steps)
    while step < stop_at:
        if step == args.match_at:
            start_matching(student)
        batch = next(batches)
        answer_loss, probe_loss, hits = losses(student, forward, batch, args.device)
        loss = answer_loss + args.probe_weight * probe_loss
        if not torch.isfinite(loss):
            raise SystemExit(f"loss is {loss.item()} at step {step}; last checkpoint kept")
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        for opt, rates in zip(opts, base, strict=True):
            for group, rate in zip(opt.param_groups, rates, strict=True):
                group["lr"] = rate * rate_factor(step, args.steps)
            opt.step()
            opt.zero_grad(set_to_none=True)
        step += 1
        window.append((answer_loss.item(), probe_loss.item()))
        for kind, values in hits_by_kind(batch, hits).items():
            seen[kind] += values
        if step % 25 == 0:
            entry: dict[str, Any] = {"step": step, "scenes": step * args.batch}
            entry["answer_loss"], entry["probe_loss"] = np.mean(window, axis=0).round(4).tolist()
            entry["scenes_per_s"] = round(len(window) * args.batch / (time.monotonic() - began), 1)
            entry["right"] = {k: round(float(np.mean(v)), 2) for k, v in sorted(seen.items())}
            if step % args.validate_every == 0:
                entry["held_out"] = validate(student, tokenizer, args.device, 128)
            log.write(json.dumps(entry) + "\n")
            log.flush()
            mean = np.mean([x for v in seen.values() for x in v])
            print(
                f"step {step}/{args.steps}  answer {entry['answer_loss']:.3f}  "
                f"probe {entry['probe_loss']:.2f}  right {mean:.1%}  "
                f"{entry['scenes_per_s']} scenes/s",
                flush=True,
            )
            window, began = [], time.monotonic()
            seen.clear()
        if step % args.save_every == 0 or step == stop_at:
            save(args.out, model, student, opts, step, tokenizer)


if __name__ == "__main__":
    main()

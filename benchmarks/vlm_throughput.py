"""Questions per second of the shared-prefix engine and of a plain per-question `generate` loop.

    python -m benchmarks.vlm_throughput --size mini --images 8 --questions 18 --image 224x224
    python -m benchmarks.vlm_throughput --task POPE --images 90     eyechart-mini on its chart

Both run in the same process on the same weights. The plain loop is transformers' own model,
unchanged: processor, then `generate`, once for each question. Warm-up is not counted. The answers
are compared, to detect fast but wrong answers.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.random_vlm import QWEN_SIZES, save_qwen2_5_vl
from eyechart.core.types import Answer, Decoding, Request, Rgb8
from eyechart.tasks import open_tasks
from eyechart.vlms.qwen2_5_vl import Qwen25VL
from eyechart.zoo import weights_dir

_WORDS = ["dog", "cat", "red car", "umbrella", "person", "table", "bench", "clock", "boat"]


def plain_answers(
    folder: Path, model: Any, requests: list[Request], limits: dict[str, int | None], new: int
) -> list[list[str]]:
    """One question at a time, as in a simple script."""
    from transformers import AutoTokenizer, Qwen2VLImageProcessorPil

    tokenizer = AutoTokenizer.from_pretrained(folder)
    given: Any = {key: value for key, value in limits.items() if value is not None}
    processor = Qwen2VLImageProcessorPil.from_pretrained(folder, **given)
    return [
        [
            _generate(model, tokenizer, processor, request.image, prompt, new)
            for prompt in request.prompts
        ]
        for request in requests
    ]


def _generate(model: Any, tokenizer: Any, processor: Any, rgb8: Rgb8, prompt: str, new: int) -> str:
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    seen = processor(images=[rgb8], return_tensors="pt", input_data_format="channels_last")
    count = int(seen["image_grid_thw"].prod()) // 4
    inputs = tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * count), return_tensors="pt")
    kinds = (inputs["input_ids"] == model.config.image_token_id).int()
    everything = {**inputs, **seen, "mm_token_type_ids": kinds}
    output = model.generate(
        **{key: value.to(model.device) for key, value in everything.items()},
        do_sample=False,
        max_new_tokens=new,
    )
    answer: str = tokenizer.decode(
        output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return answer


def matmul_peak(dtype: torch.dtype, device: str) -> float:
    """Operations a second of a large square matrix product, measured here."""
    size = 8192 if device.startswith("cuda") else 1024
    left = torch.randn(size, size, dtype=dtype, device=device)
    left @ left
    rounds = 20
    took = timed(lambda: [left @ left for _ in range(rounds)], device)[0]
    return rounds * 2 * size**3 / seconds_of(took, device)


def seconds_of(took: Elapsed, device: str) -> float:
    """The clock for a GPU; processor time for a CPU, which others may be using too."""
    return took.wall_s if device.startswith("cuda") else took.cpu_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """Seconds on the clock, and seconds of processor time (all threads) of this process."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], Any], device: str) -> tuple[Elapsed, Any]:
    """Time of a call, and its result; waits for the device before and after."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    start, start_cpu = time.perf_counter(), time.process_time()
    result = work()
    if cuda:
        torch.cuda.synchronize()
    took = Elapsed(wall_s=time.perf_counter() - start, cpu_s=time.process_time() - start_cpu)
    return took, result


def useful_operations(model: Any, requests: list[Request], answers: list[list[Answer]]) -> float:
    """Lower bound of the operations of the answers: every token once through its matrices.

    Attention's own products are left out, so the share of the peak is a lower bound.
    """
    text = sum(p.numel() for p in model.model.language_model.layers.parameters())
    vision = sum(p.numel() for p in model.model.visual.blocks.parameters())
    head = model.lm_head.weight.numel()
    merge = model.config.vision_config.spatial_merge_size**2
    patch = model.config.vision_config.patch_size
    total = 0.0
    for request, given in zip(requests, answers, strict=True):
        height, width, _ = request.image.shape
        patches = (height // patch) * (width // patch)
        asked = sum(len(prompt.split()) for prompt in request.prompts)
        new = sum(answer.tokens for answer in given)
        total += 2 * (vision * patches + text * (patches / merge + asked + new) + head * new)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Results of one run."""

    engine: Elapsed
    plain: Elapsed
    engine_questions: int
    plain_questions: int
    changed: int
    compared: int
    peak_share: float

    @property
    def ratio(self) -> float:
        """Questions a second over the plain loop's, by the clock."""
        ours = self.engine_questions / self.engine.wall_s
        return ours / (self.plain_questions / self.plain.wall_s)

    @property
    def cpu_ratio(self) -> float:
        """The same by processor time, which holds on a busy machine too."""
        ours = self.engine_questions / self.engine.cpu_s
        return ours / (self.plain_questions / self.plain.cpu_s)


def make_requests(images: int, questions: int, height: int, width: int) -> list[Request]:
    """Smooth random images and questions of POPE's length, from a fixed seed."""
    rng = np.random.default_rng(0)
    requests = []
    for _ in range(images):
        coarse = rng.integers(0, 256, (6, 8, 3))
        picture = np.kron(coarse, np.ones((height // 6 + 1, width // 8 + 1, 1)))
        prompts = tuple(
            "Is there a " + " ".join(rng.choice(_WORDS, 3)) + " in the image? "
            "Please answer yes or no."
            for _ in range(questions)
        )
        requests.append(Request(image=picture[:height, :width].astype(np.uint8), prompts=prompts))
    return requests


def chart_requests(name: str, images: int) -> list[Request]:
    """The first images of a task of the built-in chart with all their questions."""
    (task,) = open_tasks([name])
    prompts: dict[str, list[str]] = {}
    for question in task.questions():
        prompts.setdefault(question.image, []).append(task.prompt(question, "qwen2_5_vl"))
    return [
        Request(image=task.image(image), prompts=tuple(prompts[image]))
        for image in list(prompts)[:images]
    ]


def count_questions(requests: list[Request]) -> int:
    """Of all images together."""
    return sum(len(request.prompts) for request in requests)


def measure(arguments: argparse.Namespace, folder: Path) -> Throughput:
    """Both ways over the same requests (the plain loop over the first `--plain-images`)."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    height, width = (int(side) for side in arguments.image.split("x"))
    requests = (
        chart_requests(arguments.task, arguments.images)
        if arguments.task
        else make_requests(arguments.images, arguments.questions, height, width)
    )
    few = requests[: arguments.plain_images]
    limits = {"min_pixels": arguments.min_pixels, "max_pixels": arguments.max_pixels}
    vlm = Qwen25VL(str(folder), device=arguments.device, dtype=arguments.dtype, **limits)
    decoding = Decoding(max_new_tokens=arguments.new_tokens)
    vlm.answer(requests[:2], decoding)
    engine, answers = timed(lambda: vlm.answer(requests, decoding), arguments.device)
    dtype = vlm.model.dtype
    peak = matmul_peak(dtype, arguments.device)
    needed = useful_operations(vlm.model, requests, answers)
    share = needed / seconds_of(engine, arguments.device) / peak
    plain_model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    plain_model.eval().to(arguments.device)
    plain_answers(folder, plain_model, [few[0]], limits, arguments.new_tokens)
    plain, expected_answers = timed(
        lambda: plain_answers(folder, plain_model, few, limits, arguments.new_tokens),
        arguments.device,
    )
    pairs = [
        (ours.text, theirs)
        for given, expected in zip(answers, expected_answers, strict=False)
        for ours, theirs in zip(given, expected, strict=True)
    ]
    return Throughput(
        engine=engine,
        plain=plain,
        engine_questions=count_questions(requests),
        plain_questions=count_questions(few),
        changed=sum(ours != theirs for ours, theirs in pairs),
        compared=len(pairs),
        peak_share=share,
    )


def memory_mib(device: str) -> float:
    """Peak memory so far, of the device on CUDA, else of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(result: Throughput, arguments: argparse.Namespace) -> None:
    """One table."""
    hardware = (
        torch.cuda.get_device_name()
        if arguments.device.startswith("cuda")
        else f"CPU, {torch.get_num_threads()} threads"
    )
    asked = (
        f"eyechart-mini, {arguments.task}, {arguments.images} images"
        if arguments.task
        else f"{arguments.size}, {arguments.image}, {arguments.questions} questions an image"
    )
    table = Table(
        title=f"{asked}, at most {arguments.new_tokens} new tokens, {arguments.dtype}, {hardware}"
    )
    for column in ("", "questions", "questions/s", "questions/CPU s"):
        table.add_column(column, justify="right")
    for name, took, questions in (
        ("shared prefix", result.engine, result.engine_questions),
        ("plain generate", result.plain, result.plain_questions),
    ):
        rate = questions / took.wall_s
        table.add_row(name, f"{questions}", f"{rate:.3g}", f"{questions / took.cpu_s:.3g}")
    console = Console()
    console.print(table)
    console.print(f"ratio {result.ratio:.1f}x by the clock, {result.cpu_ratio:.1f}x by CPU time")
    console.print(f"answers changed {result.changed} of {result.compared}")
    console.print(f"at least {100 * result.peak_share:.1f} % of the measured matmul peak")
    console.print(f"memory {memory_mib(arguments.device):.0f} MiB")


def main() -> None:
    """Read arguments, build the checkpoint, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=sorted(QWEN_SIZES), default="mini")
    parser.add_argument("--task", help="of the built-in chart, with eyechart-mini")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--plain-images", type=int, default=2)
    parser.add_argument("--questions", type=int, default=18)
    parser.add_argument("--image", default="224x224", help="height x width in pixels")
    parser.add_argument("--new-tokens", type=int, default=3)
    parser.add_argument("--min-pixels", type=int)
    parser.add_argument("--max-pixels", type=int)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.task:
        show(measure(arguments, weights_dir("eyechart-mini")), arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = save_qwen2_5_vl(
            Path(folder), QWEN_SIZES[arguments.size], dtype=getattr(torch, arguments.dtype)
        )
        show(measure(arguments, checkpoint), arguments)


if __name__ == "__main__":
    main()

"""Seconds per image and seconds per question of a VLM, in the format of `eyechart plan`.

    python -m benchmarks.vlm_rates eyechart-mini --image 224x224
    python -m benchmarks.vlm_rates qwen2.5-vl-3b --device cuda --image 480x640 --rates my-rates.yaml
    eyechart plan paper --rates my-rates.yaml

The same images are used with one and with many questions; the difference is the time of the
questions. Needs an otherwise idle machine. The first batch loads the weights and is not counted.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.vlm_throughput import make_requests
from eyechart.core.types import VLM, Decoding, Request
from eyechart.runner.rates import AnswerRate, save_rates, split_cost
from eyechart.vlms import open_vlm


def seconds(vlm: VLM, requests: list[Request], batch: int, decoding: Decoding) -> float:
    """Wall time of all requests, passed as in a run: about `batch` questions at a time."""
    at_once = max(1, batch // len(requests[0].prompts))
    start_s = time.perf_counter()
    for first in range(0, len(requests), at_once):
        vlm.answer(requests[first : first + at_once], decoding)
    return time.perf_counter() - start_s


def main() -> None:
    """Read arguments, measure, print, and store the rates if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("vlm", help="name, hub id or directory")
    parser.add_argument("--name", help="entry's name; default: the VLM's")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--questions", type=int, default=18, help="an image, 2 or more")
    parser.add_argument("--image", default="480x640", help="height x width in pixels")
    parser.add_argument("--new-tokens", type=int, default=16)
    parser.add_argument("--batch", type=int, default=32, help="as in eyechart run")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--hardware", help="its name")
    parser.add_argument("--rates", type=Path, help="YAML file to add the entry to")
    arguments = parser.parse_args()
    height, width = (int(side) for side in arguments.image.split("x"))
    vlm = open_vlm(arguments.vlm, device=arguments.device)
    decoding = Decoding(max_new_tokens=arguments.new_tokens)
    many = make_requests(arguments.images, max(2, arguments.questions), height, width)
    once = [Request(image=request.image, prompts=request.prompts[:1]) for request in many]
    vlm.answer(many[:1], decoding)
    image_s, question_s = split_cost(
        seconds(vlm, once, arguments.batch, decoding),
        seconds(vlm, many, arguments.batch, decoding),
        len(many),
        len(many[0].prompts),
    )
    rate = AnswerRate(
        image_s=float(f"{image_s:.3g}"),
        question_s=float(f"{question_s:.3g}"),
        hardware=f"{arguments.hardware or hardware()}, {arguments.image}",
    )
    name = arguments.name or vlm.name
    speed = f"image_s: {rate.image_s}, question_s: {rate.question_s}"
    print(f"{name}: {{{speed}, hardware: '{rate.hardware}'}}")
    asked = len(many) * len(many[0].prompts)
    total_s = rate.answer_s(images=len(many), questions=asked)
    print(f"{asked / total_s:.1f} questions/s at {len(many[0].prompts)} an image")
    if arguments.rates:
        save_rates(arguments.rates, {name: rate})


def hardware() -> str:
    """The GPU's name, or how many processor threads torch uses."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"CPU, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()

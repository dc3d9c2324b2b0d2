"""The built-in VLM behind `transformers serve` answers as it does through the engine.

Needs `pip install "transformers[serving]" torchvision` (transformers' Qwen2.5-VL processor needs
torchvision for videos) and runs only when asked for: `pytest -m serve`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError

import pytest

from eyechart.core.types import Decoding, Request
from eyechart.tasks import open_tasks
from eyechart.vlms import open_vlm
from eyechart.zoo import weights_dir

START_TRIES = 300  # of about a second each


@contextmanager
def transformers_serve(model: Path, log: Path) -> Iterator[str]:
    """The server's address, once it answers. A server that ends fails the test with its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from transformers.cli.transformers import main; main()"
    command = [sys.executable, "-c", code, "serve", str(model), "--device", "cpu"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--dtype", "float32", "--port", str(port)],
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(START_TRIES):
            assert server.poll() is None, log.read_text()[-2000:]
            with suppress(URLError, TimeoutError):
                urllib.request.urlopen(f"http://localhost:{port}/health", timeout=1).close()
                break
            with suppress(subprocess.TimeoutExpired):
                server.wait(1)
        else:
            pytest.fail(f"no answer from the server; its log: {log.read_text()[-2000:]}")
        yield f"http://localhost:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.serve
def test_the_served_vlm_answers_as_the_engine_does(tmp_path: Path) -> None:
    folder = weights_dir("eyechart-mini")
    (task,) = open_tasks(["GQA"], None)
    questions = task.questions()[:6]
    ours = open_vlm("eyechart-mini", device="cpu")
    requests = [
        Request(image=task.image(question.image), prompts=(task.prompt(question, ours.family),))
        for question in questions
    ]
    decoding = Decoding(max_new_tokens=8)
    with transformers_serve(folder, tmp_path / "log") as url:
        served = open_vlm(
            "openai", model=str(folder), base_url=url, family=ours.family, concurrency=1
        )
        answers = served.answer(requests, decoding)
    expected = ours.answer(requests, decoding)
    assert [its[0].text for its in answers] == [its[0].text for its in expected]
    assert all(its[0].text for its in answers)

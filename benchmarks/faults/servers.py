"""Runs of the VLM `openai` with servers that break, stall, or send wrong or endless replies."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Event, Lock
from typing import Any

from benchmarks.faults.toy import pope, run_arguments
from benchmarks.faults.trial import FaultTrial, Verdict, command, judge
from eyechart.store import Store
from eyechart.tasks import open_tasks

_FAULTY = 0.5  # share of the replies
_OPTIONS = "timeout_s=1,retries=2,concurrency=4"


class _FaultyHandler(BaseHTTPRequestHandler):
    """Replies with the crc32 of the question, or with a fault."""

    fault: Callable[[_FaultyHandler], None] | None = None
    chance = Random(0)
    lock = Lock()
    closing = Event()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            faulty = self.fault is not None and self.chance.random() < _FAULTY
        with suppress(OSError):
            if faulty:
                type(self).fault(self)  # type: ignore[misc]
            else:
                self.send(200, completion(reply_to(question_of(body))))

    def do_GET(self) -> None:
        self.send(404, b"")

    def send(self, status: int, payload: bytes, **headers: str) -> None:
        self.send_response(status)
        named = {"Content-Type": "application/json", "Content-Length": str(len(payload))}
        for name, value in {**named, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        pass


def question_of(body: Any) -> str:
    """The text of a request."""
    parts = body["messages"][-1]["content"]
    text: str = next(part["text"] for part in parts if part["type"] == "text")
    return text


def reply_to(question: str) -> str:
    """The right answer, to detect a wrong one."""
    return f"Yes {zlib.crc32(question.encode())}"


def completion(text: Any, **changes: Any) -> bytes:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        **changes,
    }
    return json.dumps(body).encode()


def _hang(handler: _FaultyHandler) -> None:
    handler.closing.wait(5)


def _drip(handler: _FaultyHandler) -> None:
    handler.send(200, b"{", Content_Length="100000")
    while not handler.closing.wait(0.05):
        handler.wfile.write(b" ")


def _endless(handler: _FaultyHandler) -> None:
    handler.send(200, b"{", Content_Length=str(1 << 40))
    while not handler.closing.is_set():
        handler.wfile.write(b" " * 1_000_000)


def _endless_error(status: int) -> Callable[[_FaultyHandler], None]:
    def send(handler: _FaultyHandler) -> None:
        handler.send(status, b"too wide", Content_Type="text/plain", Content_Length=str(1 << 40))
        while not handler.closing.is_set():
            handler.wfile.write(b" " * 1_000_000)

    return send


def _dripping_error(handler: _FaultyHandler) -> None:
    handler.send(500, b"{", Content_Length="100000")
    while not handler.closing.wait(0.05):
        handler.wfile.write(b" ")


def _hang_up(handler: _FaultyHandler) -> None:
    handler.connection.close()


def _bomb(handler: _FaultyHandler) -> None:
    handler.send(200, gzip.compress(b" " * 200_000_000, 1), Content_Encoding="gzip")


def _raw(data: bytes) -> Callable[[_FaultyHandler], None]:
    def send(handler: _FaultyHandler) -> None:
        handler.wfile.write(data)

    return send


def _sends(status: int, payload: bytes, **headers: str) -> Callable[[_FaultyHandler], None]:
    return lambda handler: handler.send(status, payload, **headers)


_FAULTS: dict[str, tuple[Callable[[_FaultyHandler], None], ...]] = {
    "no reply": (_hang, _drip, _hang_up),
    "broken HTTP": (
        _raw(b"\x00\xff\x00garbage"),
        _raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        _raw(b"HTTP/1.1 999999 x\r\n\r\n"),
        _raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n"),
        _sends(200, b"short", Content_Length="1000"),
        _sends(200, b"no gzip", Content_Encoding="gzip"),
    ),
    "too much": (_endless, _bomb, _sends(200, completion("x" * 30_000_000))),
    "error codes": (
        *(_sends(code, b"<html>no</html>", Content_Type="text/html") for code in (400, 404, 413)),
        *(_sends(code, b"\xff\xfe" * 50_000) for code in (401, 403, 500, 502, 503)),
        _sends(429, b"{}", Retry_After="-1"),
        _sends(429, b"{}", Retry_After="soon"),
        _sends(302, b"", Location="/v1/chat/completions"),
        _sends(400, json.dumps({"error": {"message": "\x1b[2J" + "x" * 9000}}).encode()),
    ),
    "error bodies": (
        *(_endless_error(code) for code in (400, 404, 500)),
        *(_sends(code, b'{"error"', Content_Length="1000") for code in (400, 429, 503)),
        _dripping_error,
        _sends(422, gzip.compress(b" " * 200_000_000, 1), Content_Encoding="gzip"),
        _sends(400, b"no gzip", Content_Encoding="gzip"),
        _sends(400, b"[" * 100_000),
        _sends(400, b'{"error": {"message": {"a": [[[[1]]]]}, "code": 7, "param": []}}'),
    ),
    "no completion": (
        *(_sends(200, body) for body in (b"", b"null", b"[]", b"{}", b"7", b'"text"', b"\xff\xfe")),
        _sends(200, b"[" * 100_000),
        _sends(200, b"9" * 100_000),
        _sends(200, completion("x", choices=[])),
        _sends(200, completion("x", choices=None)),
        _sends(200, completion("x", choices=[{}])),
        _sends(200, completion("x", choices=[{"message": 7, "finish_reason": "stop"}])),
    ),
    "odd content": (
        _sends(200, completion(None)),
        _sends(200, completion({"text": "Yes"})),
        _sends(200, completion([7])),
        _sends(200, completion(7)),
    ),
    "odd counts": (
        _sends(200, completion(None, usage="many")),
        _sends(200, completion(None, usage={"prompt_tokens": -1})),
        _sends(200, completion(None, usage={"prompt_tokens": 10**400})),
        _sends(200, completion(None, usage=[])),
    ),
}


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` runs for each kind of fault; half of the replies are faulty. The run is then called
    again with a server that works, and must end with all answers, each the right one."""
    import openai  # noqa: F401 - once, and not in every child

    data, out = folder / "data", folder / "run"
    pope(data, chance)
    os.environ["OPENAI_API_KEY"] = "key-of-faults"
    (task,) = open_tasks(["POPE"], str(data))
    right = {
        question.id: reply_to(task.prompt(question, "gpt-4o")) for question in task.questions()
    }
    for row, faults in _FAULTS.items():
        for number in range(count):
            shutil.rmtree(out, ignore_errors=True)
            fault = faults[number % len(faults)]
            with _serving(fault, chance.randrange(1 << 32)) as url:
                vlm = f"openai:model=m,base_url={url},{_OPTIONS}"
                arguments = run_arguments(data, out, vlm=vlm, codecs="jpeg:levels=[5]")
                first = judge(row, command(*arguments), lambda: _answers(out, right))
            with _serving(None, 0) as url:
                vlm = f"openai:model=m,base_url={url},{_OPTIONS}"
                arguments = run_arguments(data, out, vlm=vlm, codecs="jpeg:levels=[5]")
                ended = command(*arguments, "--retry-failed")
                again = judge(row, ended, lambda: _answers(out, right))
            yield first if again.verdict == Verdict.right else again


def _answers(out: Path, right: dict[str, str]) -> Verdict:
    """Whether each cell holds the right answer to every question."""
    for stored in Store(out).cells():
        found = {record.question_id: record.answer for record in stored.records()}
        if found != right:
            return Verdict.wrong
    return Verdict.right


@contextmanager
def _serving(fault: Callable[[_FaultyHandler], None] | None, seed: int) -> Iterator[str]:
    """A server in a separate process, so that this one has no threads when it forks."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _FaultyHandler)
    server.daemon_threads = True
    pid = os.fork()
    if pid == 0:
        _FaultyHandler.fault = staticmethod(fault) if fault else None
        _FaultyHandler.chance = Random(seed)
        with suppress(BaseException):
            server.serve_forever()
        os._exit(0)
    server.socket.close()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)

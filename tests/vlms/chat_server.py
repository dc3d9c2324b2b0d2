"""A small local server with answers set by a test; it records its requests."""

from __future__ import annotations

import json
import select
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes | Iterable[bytes]]


@dataclass
class ChatServer:
    """`reply` is called with the request's body; None: no reply until the client closes the
    connection.

    models: what it says when it is asked for its models. A reply whose bytes come in pieces names
    its own Content-Length, and may not keep to it.
    """

    reply: Callable[[dict[str, Any]], Reply | None]
    models: Reply = (404, {}, b"")
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    hung_up: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def completion(text: str | None, **extra: Any) -> Reply:
    """A well-formed chat completion."""
    message = {"role": "assistant", "content": text, **extra.pop("message", {})}
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message, **extra}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102},
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def about_a_ramp(body: dict[str, Any]) -> Reply:
    """What a VLM says about a picture of a ramp, asked the default questions of a check."""
    prompt = str([part.get("text") for part in body["messages"][-1]["content"]])
    if "List the objects" in prompt:
        return completion("ramp, light")
    return completion("Yes" if "yes or no" in prompt else "a ramp from dark to light")


def cut_short() -> Reply:
    """A reply that ends too early."""
    return 200, {"Content-Type": "application/json", "Content-Length": "1000"}, [b'{"id"']


def dripping(server: ChatServer) -> Reply:
    """An endless reply without content."""

    def drops() -> Iterator[bytes]:
        while not server.closing.wait(0.01):
            yield b" "

    return 200, {"Content-Type": "application/json", "Content-Length": "100000"}, drops()


def odd_completion(**changes: Any) -> Reply:
    """A completion "yes" with other values in its first level."""
    status, headers, payload = completion("yes")
    assert isinstance(payload, bytes)
    return status, headers, json.dumps({**json.loads(payload), **changes}).encode()


def error(status: int, message: str = "no", **headers: str) -> Reply:
    """An error as OpenAI words it. `retry_after_ms="1"` keeps tests fast."""
    body = {"error": {"message": message, "type": "t", "code": headers.pop("code", None)}}
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return status, {"Content-Type": "application/json", **named}, json.dumps(body).encode()


@contextmanager
def serve(reply: Callable[[dict[str, Any]], Reply | None]) -> Iterator[ChatServer]:
    """Run a ChatServer on a free port."""
    state = ChatServer(reply)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append(body)
            state.keys.append(self.headers["Authorization"])
            answer = state.reply(body)
            if answer is None:
                self._hang()
                return
            self._send(answer)

        def do_GET(self) -> None:
            self._send(state.models)

        def _send(self, answer: Reply) -> None:
            status, headers, payload = answer
            self.send_response(status)
            if isinstance(payload, bytes):
                headers, payload = {**headers, "Content-Length": str(len(payload))}, [payload]
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client has closed the connection
                for piece in payload:
                    self.wfile.write(piece)

        def _hang(self) -> None:
            while not state.closing.wait(0.01):
                if select.select([self.connection], [], [], 0)[0]:
                    state.hung_up.set()
                    return

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()

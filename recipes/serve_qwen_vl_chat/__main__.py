"""python -m recipes.serve_qwen_vl_chat --port 8000"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile

from recipes.serve_qwen_vl_chat.model import QwenVLChat
from recipes.serve_qwen_vl_chat.protocol import ChatServer


def main() -> None:
    """Read arguments, load the model, serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m recipes.serve_qwen_vl_chat")
    parser.add_argument("--model", default="Qwen/Qwen-VL-Chat", help="hub id or folder")
    parser.add_argument("--revision", help="commit of the hub id, because its code is executed")
    parser.add_argument("--name", default="Qwen/Qwen-VL-Chat", help="as clients call it")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the `with` blocks clean up
    model = QwenVLChat(arguments.model, revision=arguments.revision, device=arguments.device)
    with tempfile.TemporaryDirectory(prefix="qvl-") as folder:
        server = ChatServer(
            model, arguments.name, host=arguments.host, port=arguments.port, folder=folder
        )
        print(f"{arguments.name} at http://{arguments.host}:{server.server_port}/v1", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.server_close()


if __name__ == "__main__":
    main()

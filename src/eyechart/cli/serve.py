"""`eyechart serve`: a VLM of this machine as a server."""

from __future__ import annotations

import shlex
from typing import Annotated

from eyechart.cli.options import option
from eyechart.core.built_in import BUILT_IN_VLM


def serve(
    vlm: Annotated[
        str, option("--vlm", metavar="VLM", help_="A name of `vlm list`, a hub id or a directory.")
    ] = BUILT_IN_VLM,
    port: Annotated[
        int, option("--port", metavar="PORT", min=0, max=65535, help_="0: a free one.")
    ] = 8000,
    host: Annotated[
        str, option("--host", metavar="NAME", help_="0.0.0.0: reachable from other machines.")
    ] = "127.0.0.1",
    device: Annotated[
        str, option("--device", metavar="WHERE", help_="auto, cpu, cuda, cuda:1, map.")
    ] = "auto",
) -> None:
    """Answer for a VLM of this machine at an OpenAI-style address, until Ctrl-C.

    Takes one image and one text in a request. It has no key and no
    encryption: keep it on this machine or in a network that you trust.
    """
    from eyechart.api.serving import vlm_server

    with vlm_server(vlm, host=host, port=port, device=device) as server:
        print(f"--vlm {shlex.quote(server.spec)}", flush=True)
        server.serve_forever()

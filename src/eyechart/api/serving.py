"""A VLM of this machine as a server, for clients of OpenAI's chat protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eyechart.core.errors import InputError

if TYPE_CHECKING:
    from eyechart.vlms.serving import VLMServer


def vlm_server(
    vlm: str, *, host: str = "127.0.0.1", port: int = 8000, device: str = "auto"
) -> VLMServer:
    """A server that answers for a VLM under the VLM's name, once its `serve_forever` is called.

    vlm, device: as for `open_vlm`. port: 0 for a free one.

    Raises:
        InputError: something named cannot be used; the address cannot.
    """
    from eyechart.core import plugins
    from eyechart.core.hooks import Checkable
    from eyechart.runner.resolve import open_spec
    from eyechart.vlms.serving import VLMServer

    with plugins.guarded(vlm):
        opened = open_spec(vlm, device=device)
        if isinstance(opened, Checkable):
            opened.check()
        name = plugins.name_of(opened)
    try:
        return VLMServer(opened, name, host=host, port=port)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{host}:{port} cannot be used ({why})") from error

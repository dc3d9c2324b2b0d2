"""What the user says about a Ray cluster, checked: its address, and the limit of a call."""

from __future__ import annotations

import os
import socket

from eyechart.core.errors import InputError, one_line

_CONNECT_S = 10.0
# What a gRPC client says first: the preface of HTTP/2, and a SETTINGS frame without settings.
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
_FRAME_BYTES = 9  # the head of the SETTINGS frame that a gRPC server answers with
# A call may download the weights of a large VLM, or encode a photograph with VTM's slow encoder.
CALL_S = 6 * 3600.0
_MOST_CALL_S = 1e7  # Ray counts milliseconds
CALL_LIMIT = "EYECHART_RAY_CALL_S"  # environment variable: another limit, in seconds


def check_answers(address: str) -> None:
    """Check that a head node of Ray answers. Ray itself tries for minutes to reach an address.

    Raises InputError.
    """
    if address in ("", "auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--ray {one_line(address, 60)}: not an address; allowed: HOST:PORT, auto")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0" and not speaks_grpc(connection):
                raise InputError(
                    f"--ray {address}: is no head node of Ray; allowed: HOST:PORT, auto"
                )
    except (OSError, OverflowError) as error:
        raise InputError(f"--ray {address}: does not answer ({one_line(error)})") from error


def speaks_grpc(connection: socket.socket) -> bool:
    """Whether a gRPC server is at the other end. Raises OSError."""
    connection.sendall(HTTP2)
    with connection.makefile("rb") as stream:  # with a timeout, `recv` may return less
        head = stream.read(_FRAME_BYTES)
    return len(head) == _FRAME_BYTES and head[3] == 4  # its type


def call_limit_s() -> float:
    """Seconds to wait for the answer to a call. Raises InputError."""
    text = os.environ.get(CALL_LIMIT) or str(CALL_S)
    try:
        limit_s = float(text)
    except ValueError:
        limit_s = 0.0
    if not 0 < limit_s <= _MOST_CALL_S:
        raise InputError(
            f"{CALL_LIMIT}={one_line(text, 40)}: not a time; allowed: seconds, above 0 and at most "
            f"{_MOST_CALL_S:g}"
        )
    return limit_s

"""A substitute for HM and VTM with the same arguments and files and a toy code.

Usage: as an executable named encoder or decoder. The environment variable STAND_IN_FAULT makes it
misbehave. The toy code is zlib over the image with its low bits cut off, more of them for a
higher QP.
"""

from __future__ import annotations

import os
import signal
import sys
import zlib
from pathlib import Path


def encode(arguments: dict[str, str]) -> bytes:
    """An image file -> toy stream."""
    width, height, qp = (int(arguments[name]) for name in ("-wdt", "-hgt", "-q"))
    planes = Path(arguments["-i"]).read_bytes()
    if len(planes) != 3 * width * height:
        sys.exit(f"input has {len(planes)} bytes, not {width}x{height} in 4:4:4")
    if "--Level" in arguments and qp > 51:  # only HM is given one
        sys.exit("QP exceeds supported range (-QpBDOffsety to 51)")
    step = 1 << max(0, qp - 40) // 3
    return zlib.compress(bytes(min(255, value // step * step + step // 2) for value in planes))


def main() -> None:
    """Encode or decode, with the arguments of the real programs."""
    pairs = iter(sys.argv[1:])
    arguments = {}
    for name in pairs:
        key, equals, value = name.partition("=")
        arguments[key] = value if equals else next(pairs)
    if "STAND_IN_LOG" in os.environ:
        Path(os.environ["STAND_IN_LOG"]).write_text("\n".join(sys.argv[1:]))
    fault = os.environ.get("STAND_IN_FAULT")
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGABRT)
    if fault == "hang":
        signal.pause()
    if fault == "nothing":
        return
    if fault == "message":
        sys.stdout.write("Error: unknown option, on stdout\n")
        sys.exit(1)
    if "-wdt" in arguments:
        Path(arguments["-b"]).write_bytes(b"" if fault == "empty" else encode(arguments))
        return
    planes = zlib.decompress(Path(arguments["-b"]).read_bytes())
    Path(arguments["-o"]).write_bytes(planes[:-3] if fault == "short" else planes)


if __name__ == "__main__":
    main()

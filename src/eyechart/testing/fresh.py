"""Building a codec again in a fresh interpreter, as worker processes do."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from eyechart.codecs.adjusted import AdjustedCodec
from eyechart.core.identity import canonical_json
from eyechart.core.types import Bitstream, Codec, Json, Level, Rgb8, component_of

_TIMEOUT_S = 300.0
# The usual libraries read their number of threads from these.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_SCRIPT = """
import base64, importlib, json, sys
import numpy as np
from eyechart.core.types import Bitstream
from eyechart.testing.fresh import identity_of, image_sha256, payload_sha256
job = json.load(sys.stdin)
made = importlib.import_module(job["module"])
for part in job["name"].split("."):
    made = getattr(made, part)
codec = made(**job["options"])
size = {"height_px": job["height_px"], "width_px": job["width_px"]}
bitstream = Bitstream(payload=base64.b64decode(job["payload"]), **size)
level, held = None, None
if job["level"] is not None:
    (level,) = [level for level in codec.levels if level.name == job["level"]]
if job["device"] is not None:
    held = codec.load(level, job["device"])
decoded = held.decode([bitstream])[0] if held else codec.decode(bitstream)
found = {"identity": identity_of(codec), "decoded": image_sha256(decoded)}
if job["image"] is not None:
    image = np.frombuffer(base64.b64decode(job["image"]), np.uint8)
    image = image.reshape(job["height_px"], job["width_px"], 3)
    encoded = held.encode([image])[0] if held else codec.encode(image, level)
    found["payload"] = payload_sha256(encoded)
print()
print(json.dumps(found))
"""


def build_again(
    codec: Codec,
    options: Mapping[str, Json],
    bitstream: Bitstream,
    *,
    image: Rgb8 | None = None,
    level: Level | None = None,
    threads: int | None = None,
    device: str | None = None,
) -> dict[str, str] | str:
    """Build the codec in a fresh process, decode the bitstream and encode the image there.

    options: keyword arguments of the codec's class or factory, as JSON values.
    image: must have the bitstream's size. threads: how many the libraries may use there.
    device: to load the level of a codec with weights on; None calls the codec itself.
    Returns checksums `identity`, `decoded` and (with an image) `payload`; or why it failed.
    """
    module, name = _import_path(codec)
    given = dict(options)
    if isinstance(codec, AdjustedCodec):  # `open_named` opens it
        given = {"name": codec.name, "options": given}
    job = {
        "module": module,
        "name": name,
        "options": given,
        "payload": base64.b64encode(bitstream.payload).decode(),
        "height_px": bitstream.height_px,
        "width_px": bitstream.width_px,
        "image": None if image is None else base64.b64encode(image.tobytes()).decode(),
        "level": None if level is None else level.name,
        "device": device,
    }
    try:
        child = _run_script(json.dumps(job), threads)
    except (TypeError, ValueError) as error:
        return f"the options {dict(options)} are not JSON ({error})"
    except subprocess.TimeoutExpired:
        return f"no answer within {_TIMEOUT_S:g} s"
    if child.returncode:
        last = child.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        if module == "__main__":
            last += (
                "; the class is defined in the script that runs, where no other process finds it: "
                "move it to a module of its own"
            )
        return f"{module}:{name} built with {dict(options)} could not decode: {last}"
    # A codec's libraries may print to stdout, too; the last line is the script's.
    found: dict[str, str] = json.loads(child.stdout.decode().strip().rpartition("\n")[2])
    return found


def _run_script(job: str, threads: int | None) -> subprocess.CompletedProcess[bytes]:
    few = {} if threads is None else dict.fromkeys(_THREADS, str(threads))
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        input=job.encode(),
        capture_output=True,
        check=False,
        timeout=_TIMEOUT_S,
        env={**os.environ, **few, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def identity_of(codec: Codec) -> str:
    """The identity of a codec: name, version and options, as text."""
    return canonical_json(component_of(codec))


def image_sha256(rgb8: Rgb8) -> str:
    """Checksum of a decoded image, shape included."""
    return hashlib.sha256(repr(rgb8.shape).encode() + rgb8.tobytes()).hexdigest()


def payload_sha256(bitstream: Bitstream) -> str:
    """Checksum of a payload."""
    return hashlib.sha256(bitstream.payload).hexdigest()


def _import_path(codec: Codec) -> tuple[str, str]:
    """Module and name by which another process imports the codec's class or factory."""
    kind: Any = type(codec)
    if isinstance(codec, AdjustedCodec):
        return "eyechart.codecs.opening", "open_named"
    for point in entry_points(group="eyechart.codecs", name=codec.name):
        if point.module == kind.__module__:
            return point.module, point.attr
    return kind.__module__, kind.__qualname__

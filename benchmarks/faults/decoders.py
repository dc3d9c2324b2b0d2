"""Many damaged bitstreams to the decoder of each codec without weights.

A try is a hundred bitstreams in one process, so that there can be many. `bitstreams` has a process
for each, and the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.faults.bitstreams import resealed, sample
from benchmarks.faults.damage import damaged
from benchmarks.faults.trial import FaultTrial, Verdict, call, judge
from eyechart.codecs.ffmpeg_codec import FfmpegCodec
from eyechart.core import plugins
from eyechart.core.errors import CodecError, EyechartError, InputError
from eyechart.core.hooks import SelfDescribing
from eyechart.core.types import Bitstream, Codec, Level, is_neural

_BITSTREAMS = 100  # of a try
_BY_PROGRAM = 10  # of a try, where each starts a program


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` tries for each codec, and as many with a corrected checksum."""
    del folder  # nothing is written
    image = sample(chance)
    for name in plugins.names("eyechart.codecs"):
        with suppress(EyechartError):
            codec: Codec = plugins.load("eyechart.codecs", name, {})
            if is_neural(codec):
                continue
            level = codec.levels[len(codec.levels) // 2]
            whole = codec.encode(image, level)
            for row, seal in ((name, False), (f"{name}, right checksum", True)):
                if seal and resealed(codec, level, whole, chance) is None:
                    continue
                for _ in range(count):
                    work = partial(_decoded, codec, level, whole, Random(chance.random()), seal)
                    yield judge(row, call(work), lambda: Verdict.right)


def _decoded(codec: Codec, level: Level, whole: Bitstream, chance: Random, seal: bool) -> int:
    """Exit code 0 if each ends in an error of one line, or in an image of the right size."""
    by_program = seal and isinstance(codec, FfmpegCodec)  # a wrong checksum is seen before
    for _ in range(_BY_PROGRAM if by_program else _BITSTREAMS):
        payload = resealed(codec, level, whole, chance) if seal else damaged(whole.payload, chance)
        assert payload is not None
        size = {"height_px": whole.height_px, "width_px": whole.width_px}
        bitstream = Bitstream(payload=payload, **size)
        try:
            if isinstance(codec, SelfDescribing) and chance.random() < 0.5:
                bitstream = codec.bitstream_from_payload(payload)  # as `codec decode`
            rgb8 = codec.decode(bitstream)
        except (CodecError, InputError) as error:
            problem = str(error)
        else:
            problem = ""
            assert rgb8.shape == (bitstream.height_px, bitstream.width_px, 3), payload
        assert "\n" not in problem, (problem, payload)
    return 0

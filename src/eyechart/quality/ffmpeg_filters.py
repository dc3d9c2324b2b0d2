"""VMAF, VIF, PSNR-HVS and XPSNR, by the filters of the ffmpeg that imageio-ffmpeg ships.

    both images --pipe--> ffmpeg: limited-range BT.709 --> libvmaf --> VMAF, VIF, PSNR-HVS
                                                       --> xpsnr   --> XPSNR

One call measures all four, and the values of the last two images are kept, so that four metrics of
one image cost one call. All are of luma, as in their definitions.

VMAF: Li et al., "Toward a practical perceptual video quality metric", Netflix Technology Blog 2016,
with the model vmaf_v0.6.1. A still image has no motion, so equal images get about 97, not 100. VIF:
Sheikh and Bovik, "Image Information and Visual Quality", IEEE TIP 15, 2006, in the pixel domain
over four scales. PSNR-HVS: Ponomarenko et al., "On between-coefficient contrast masking of DCT
basis functions", VPQM 2007 (PSNR-HVS-M), in the implementation of Xiph's Daala, which has other
sensitivities. XPSNR: Helmrich et al., "XPSNR: A low-complexity extension of the perceptually
weighted peak signal-to-noise ratio", ICASSP 2020.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache, lru_cache
from math import inf, nan
from typing import ClassVar

from eyechart.core.errors import EyechartError, InputError, one_line
from eyechart.core.ffmpeg import executable
from eyechart.core.types import Rgb8

MIN_SIDE_PX = 17  # libvmaf ends with a crash on smaller images
_TIMEOUT_S = 120.0  # and as much more per megapixel
_GRAPH = (
    "scale=in_range=full:out_range=limited:out_color_matrix=bt709:"
    "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format=yuv444p,split=2[one][two];"
    "[one]select='eq(n,0)',setpts=0,split=2[decoded1][decoded2];"
    "[two]select='eq(n,1)',setpts=0,split=2[reference1][reference2];"
    "[decoded1][reference1]libvmaf=feature='name=float_vif\\:debug=true|name=psnr_hvs':n_threads=1:"
    "log_fmt=json:log_path=/dev/stdout[vmaf];"
    "[decoded2][reference2]xpsnr[xpsnr]"
)


class _FfmpegMetric:
    """What all metrics here have. _value: the field of `_Values` that holds the metric's value."""

    higher_is_better = True
    _value: ClassVar[str]

    @property
    def version(self) -> str:
        """Of ffmpeg. Raises InputError: no ffmpeg."""
        return _ffmpeg_version()

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        """Both (height, width, 3) uint8. Raises InputError: an ffmpeg without the filter."""
        found: float = getattr(_measured(reference, decoded), self._value)
        return found


class Vmaf(_FfmpegMetric):
    """VMAF of a still image, 0 to 100; NaN for images smaller than 17 pixels on a side."""

    name = "VMAF"
    unit = ""
    _value = "vmaf"

    @property
    def version(self) -> str:
        """Of the model and of ffmpeg. Raises InputError: no ffmpeg."""
        return f"vmaf_v0.6.1, {_ffmpeg_version()}"


class Vif(_FfmpegMetric):
    """VIF of luma, 1 for equal images; NaN for images smaller than 17 pixels on a side."""

    name = "VIF"
    unit = ""
    _value = "vif"


class PsnrHvs(_FfmpegMetric):
    """PSNR-HVS of luma in dB, infinite for equal images; NaN for images smaller than 17 pixels on a
    side."""

    name = "PSNR-HVS"
    unit = "dB"
    _value = "psnr_hvs"


class Xpsnr(_FfmpegMetric):
    """XPSNR of luma in dB, infinite for equal images; NaN for images smaller than 17 pixels on a
    side."""

    name = "XPSNR"
    unit = "dB"
    _value = "xpsnr"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """What one call measures; NaN for an image that is too small."""

    vmaf: float = nan
    vif: float = nan
    psnr_hvs: float = nan
    xpsnr: float = nan


def _measured(reference: Rgb8, decoded: Rgb8) -> _Values:
    height, width, _ = reference.shape
    if min(height, width) < MIN_SIDE_PX:
        return _Values()
    return _filtered(reference.tobytes(), decoded.tobytes(), f"{width}x{height}")


@lru_cache(maxsize=1)
def _filtered(reference: bytes, decoded: bytes, size: str) -> _Values:
    """The values of two raw images."""
    command = [
        *(executable(), "-hide_banner", "-nostdin", "-nostats"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", size, "-i", "pipe:0"),
        *("-filter_complex", _GRAPH),
        *("-map", "[vmaf]", "-f", "null", "-", "-map", "[xpsnr]", "-f", "null", "-"),
    ]
    timeout_s = _TIMEOUT_S * (1 + len(reference) / 3e6)
    try:
        done = subprocess.run(
            command, input=decoded + reference, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EyechartError(
            f"ffmpeg took longer than {timeout_s:.0f} s on {size} pixels"
        ) from error
    messages = done.stderr.decode(errors="replace")
    if "No such filter" in messages:
        raise InputError(
            f"{command[0]} has no libvmaf or no xpsnr; pip install 'imageio-ffmpeg>=0.8', or unset "
            "IMAGEIO_FFMPEG_EXE"
        )
    xpsnr = re.search(r"XPSNR\s+y:\s*(\S+)", messages)
    if done.returncode or xpsnr is None:
        raise EyechartError(f"ffmpeg failed ({one_line(messages[-200:] or str(done.returncode))})")
    found = json.loads(done.stdout)["frames"][0]["metrics"]
    hvs = found["psnr_hvs_y"]  # null: not finite
    return _Values(
        vmaf=float(found["vmaf"]),
        vif=float(found["vif"]),
        psnr_hvs=inf if hvs is None else float(hvs),
        xpsnr=float(xpsnr[1]),
    )


@cache
def _ffmpeg_version() -> str:
    shown = subprocess.run([executable(), "-version"], capture_output=True, text=True, check=False)
    found = re.match(r"ffmpeg version (\S+)", shown.stdout)
    return f"ffmpeg {found[1] if found else 'unknown'}"

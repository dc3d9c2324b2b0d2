"""The ffmpeg of the PyPI package imageio-ffmpeg."""

from __future__ import annotations

from eyechart.core.errors import InputError


def executable() -> str:
    """Path of ffmpeg. Raises InputError if there is none for this platform."""
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise InputError(
            "no ffmpeg: imageio-ffmpeg ships none for this platform; "
            "install one and set IMAGEIO_FFMPEG_EXE to its path"
        ) from error

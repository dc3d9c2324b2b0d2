"""How far a decoded picture is from its original, in the measures of image compression."""

from eyechart.quality.psnr import psnr_db

__all__ = ["psnr_db"]

"""Eyechart: how well does a vision-language model still see when its images are compressed?

Importing the package loads nothing heavy: neither torch nor transformers.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("eyechart")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]

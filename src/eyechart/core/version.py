"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("eyechart")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "0.0.0"

"""The progress of `run`: the protocol, and parts for a display of it."""

from eyechart.runner.progress import Clock, FirstWarnings, Progress, ProgressLines, Tally

__all__ = ["Clock", "FirstWarnings", "Progress", "ProgressLines", "Tally"]

"""The progress of `run`: the protocol, and parts for a display of it."""

from eyechart.runner.progress import Clock, FirstWarnings, Lines, Progress, Tally

__all__ = ["Clock", "FirstWarnings", "Lines", "Progress", "Tally"]

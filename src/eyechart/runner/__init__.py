"""The run: a plan, its cells, and the engine that fills a run directory with them.

The package is not called `run`, because `eyechart.run` is the function that runs a plan.
"""

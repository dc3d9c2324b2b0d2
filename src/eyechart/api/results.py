"""Types of what functions of the API return, for type checkers.

At run time the module is empty, because some of these types load torch. Use it so:

    if TYPE_CHECKING:
        from eyechart.api.results import Estimate
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eyechart.analysis.result import Analysis as Analysis
    from eyechart.analysis.table import Entry as Entry
    from eyechart.analysis.table import Mark as Mark
    from eyechart.analysis.table import Table as Table
    from eyechart.analysis.table import TableRow as TableRow
    from eyechart.runner.engine import Outcome as Outcome
    from eyechart.runner.estimate import CodecEstimate as CodecEstimate
    from eyechart.runner.estimate import Estimate as Estimate

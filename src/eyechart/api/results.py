"""Types of what functions of the API return, for type checkers.

At run time the module is empty, because some of these types load torch. Use it so:

    if TYPE_CHECKING:
        from eyechart.api.results import Estimate
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eyechart.adapters.answers import ScoreChange as ScoreChange
    from eyechart.adapters.package import AdapterConfig as AdapterConfig
    from eyechart.adapters.watcher import StepLog as StepLog
    from eyechart.analysis.bd import Bd as Bd
    from eyechart.analysis.recommend import Recommendation as Recommendation
    from eyechart.analysis.result import Analysis as Analysis
    from eyechart.analysis.table import Entry as Entry
    from eyechart.analysis.table import Mark as Mark
    from eyechart.analysis.table import Table as Table
    from eyechart.analysis.table import TableRow as TableRow
    from eyechart.codecs.learned.train import TrainingProgress as TrainingProgress
    from eyechart.runner.bench import Bench as Bench
    from eyechart.runner.engine import Outcome as Outcome
    from eyechart.runner.estimate import CodecEstimate as CodecEstimate
    from eyechart.runner.estimate import Estimate as Estimate
    from eyechart.runner.export_tsv import TsvExport as TsvExport
    from eyechart.runner.own_check import OwnCheck as OwnCheck
    from eyechart.runner.quality import QualityRun as QualityRun
    from eyechart.runner.readiness import CheckResult as CheckResult
    from eyechart.tasks.own_answers import OwnAnswers as OwnAnswers
    from eyechart.tasks.predictions import Result as Result

"""The public functions of `import eyechart`. The command line is a thin layer over them.

Functions take names as the command line does (`jpeg`, `vvc:preset=fast`, `MMBench:max_images=20`);
options may also be given as keyword arguments. Errors are `EyechartError`s with a message of one
line; `InputError`s are those that the caller can correct.
"""

from eyechart.api.adapters import export_adapter, train_adapter
from eyechart.api.check import check_images, recommend
from eyechart.api.curves import bd_metric, bd_rate
from eyechart.api.learned import add_checkpoint, train_codec
from eyechart.api.one_image import ask
from eyechart.api.opening import names, open_adapter, open_codec, open_task, open_vlm
from eyechart.api.quality import measure_quality
from eyechart.api.run_results import (
    analyse,
    export_records,
    findings,
    records,
    rescore,
    table,
    write_figure,
    write_report,
)
from eyechart.api.runs import encode, estimate, open_plan, run
from eyechart.api.stores import drop_cells, merge_runs
from eyechart.api.tools import bench_codecs, export_tsv, score
from eyechart.core.images import read_image
from eyechart.runner.plan import Plan
from eyechart.testing import check_codec, check_metric, check_task, check_vlm

__all__ = [
    "Plan",
    "add_checkpoint",
    "analyse",
    "ask",
    "bd_metric",
    "bd_rate",
    "bench_codecs",
    "check_codec",
    "check_images",
    "check_metric",
    "check_task",
    "check_vlm",
    "drop_cells",
    "encode",
    "estimate",
    "export_adapter",
    "export_records",
    "export_tsv",
    "findings",
    "measure_quality",
    "merge_runs",
    "names",
    "open_adapter",
    "open_codec",
    "open_plan",
    "open_task",
    "open_vlm",
    "read_image",
    "recommend",
    "records",
    "rescore",
    "run",
    "score",
    "table",
    "train_adapter",
    "train_codec",
    "write_figure",
    "write_report",
]

"""Eyechart measures how image compression changes the answers of vision-language models.

    import eyechart

    eyechart.run("quick", out="out/quick", tasks=["POPE"], codecs=["jpeg"], max_images=10)
    print(eyechart.table("out/quick", "bd"))

The names in `__all__` are the public interface; everything is imported when it is first used, so
that `import eyechart` is quick and loads neither torch nor matplotlib.
"""

from __future__ import annotations

# Nothing is imported here, not even `typing`: a Ctrl-C before `eyechart.__main__` has begun would
# print a traceback of it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from eyechart.api import (
        add_checkpoint,
        analyse,
        ask,
        bd_metric,
        bd_rate,
        bench_codecs,
        check_codec,
        check_images,
        check_metric,
        check_task,
        check_vlm,
        drop_cells,
        encode,
        estimate,
        export_adapter,
        export_records,
        export_tsv,
        findings,
        measure_quality,
        merge_runs,
        names,
        open_adapter,
        open_codec,
        open_plan,
        open_task,
        open_vlm,
        read_image,
        recommend,
        records,
        rescore,
        run,
        score,
        table,
        train_adapter,
        train_codec,
        write_figure,
        write_report,
    )
    from eyechart.core.errors import (
        CodecError,
        EyechartError,
        ImageError,
        InputError,
        PluginError,
        StoreError,
        VLMError,
    )
    from eyechart.core.types import (
        VLM,
        Answer,
        Bitstream,
        Codec,
        Decoding,
        Level,
        Question,
        Request,
        Score,
        Task,
    )
    from eyechart.runner.plan import Plan

    __version__: str

__all__ = [
    "VLM",
    "Answer",
    "Bitstream",
    "Codec",
    "CodecError",
    "Decoding",
    "EyechartError",
    "ImageError",
    "InputError",
    "Level",
    "Plan",
    "PluginError",
    "Question",
    "Request",
    "Score",
    "StoreError",
    "Task",
    "VLMError",
    "__version__",
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

_HOMES = ("eyechart.core.errors", "eyechart.core.types", "eyechart.api")  # the lightest first


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from eyechart.core.version import VERSION

        return VERSION
    if name in __all__:
        from importlib import import_module

        for home in _HOMES:
            module = import_module(home)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'eyechart' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

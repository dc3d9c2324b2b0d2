"""Run a plan: open what it names, take the run directory, answer what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eyechart.core.errors import InputError
from eyechart.runner.engine import Outcome, Settings, check, run
from eyechart.runner.plan import Plan
from eyechart.runner.pools import open_pool
from eyechart.runner.progress import Progress
from eyechart.runner.rates import keep_rates
from eyechart.runner.resolve import resolve, run_info
from eyechart.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run a plan; nothing here changes a record.

    device: `auto`, `cpu`, `cuda:1`; `cuda:0,cuda:1` or `all` for a copy of the VLM on each GPU;
        `map` to spread one copy over all GPUs.
    workers: processes for codecs; 0: none; None: one a CPU core.
    batch: questions handed to each copy of a VLM at once; None: as the VLM wants it.
    decoded_gb: disk space for decoded images, in GB (10^9 bytes).
    retry_failed: ask questions again that failed for good in an earlier run.
    wait: wait while another run writes to the directory, instead of refusing.
    """

    device: str = "auto"
    workers: int | None = None
    batch: int | None = None
    decoded_gb: float = 2.0
    retry_failed: bool = False
    wait: bool = False

    def __post_init__(self) -> None:
        for name, least in (("workers", 0), ("batch", 1), ("decoded_gb", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise InputError(f"{name} is {value!r}; allowed: {least} or more")


def run_plan(plan: Plan, out: Path, progress: Progress, options: Options) -> Outcome:
    """Answer everything in the plan that the run directory does not hold yet.

    Nothing is written before everything that the plan names was found.

    Raises:
        InputError: a name, option, level or file of the plan cannot be used; a VLM refuses to work.
        StoreError: the directory cannot be used or written, or another run writes to it.
    """
    from eyechart.vlms.devices import devices_of

    copies = len(devices_of(options.device))
    work = resolve(plan, device=options.device)
    store = Store(out)
    if not (out / "run.json").exists():  # a finished run can be looked at without its servers
        check(work)
    store.create()
    settings = Settings(
        batch_prompts=None if options.batch is None else options.batch * copies,
        decoded_budget_bytes=int(options.decoded_gb * 1e9),
        retry_failed=options.retry_failed,
    )
    with store.writing([(lane.vlm, lane.adapter) for lane in work.lanes], wait=options.wait):
        store.write_info(run_info(plan))
        pool = open_pool([entry.codec for entry in work.codecs], store, options.workers)
        outcome = run(work, store, pool, progress, settings)
        with store.updating("rates"):
            keep_rates(outcome.speeds, out, options.device)
    return outcome

"""The last recommendation that a user asked for, in DIR/recommendation.json, for the report.

The file holds what was asked; the answer is computed again from the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from eyechart.analysis.deployment import BANDWIDTH_MBIT, Saving, TokenPrices, UsdPrices
from eyechart.analysis.recommend import Recommendation, recommend
from eyechart.core.errors import EyechartError
from eyechart.core.files import is_file
from eyechart.core.foreign import parse_json
from eyechart.core.identity import canonical_json
from eyechart.store.files import DAMAGED, read_lines, write_atomic

FILE_NAME = "recommendation.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked: as the parameters of `recommend`. usd_per_million: prices of tokens.
    usd_per_gb: of the transfer."""

    tolerance: float
    tasks: Sequence[str] = ()
    save: str = "bytes"
    bandwidth_mbit: float = BANDWIDTH_MBIT
    today: str | None = None
    usd_per_million: Sequence[float] | None = None
    usd_per_gb: float | None = None

    def of(self, run_dir: Path) -> list[Recommendation]:
        """The recommendations for a run. Raises what `recommend` raises."""
        return recommend(
            run_dir,
            tolerance=self.tolerance,
            tasks=self.tasks,
            saving=Saving(unit=self.save, bandwidth_mbit=self.bandwidth_mbit),
            today=self.today,
            prices=self.prices(),
        )

    def prices(self) -> UsdPrices:
        """Raises InputError: a price that is out of range."""
        return UsdPrices(tokens=TokenPrices.of(self.usd_per_million), per_gb=self.usd_per_gb)

    def with_prices_of(self, before: Asked | None) -> Asked:
        """The same, with the prices of an earlier question where it gives none."""
        if before is None:
            return self
        tokens, per_gb = self.usd_per_million, self.usd_per_gb
        return replace(
            self,
            usd_per_million=before.usd_per_million if tokens is None else tokens,
            usd_per_gb=before.usd_per_gb if per_gb is None else per_gb,
        )


def keep(run_dir: Path, asked: Asked) -> None:
    """Store what was asked. Raises StoreError."""
    write_atomic(run_dir / FILE_NAME, f"{canonical_json(asdict(asked))}\n".encode())


def kept(run_dir: Path) -> Asked | None:
    """What was asked last; None if nothing was, or if the file cannot be used."""
    path = run_dir / FILE_NAME
    if not is_file(path):
        return None
    try:
        asked = Asked(**parse_json("\n".join(read_lines(path))))
        asked.prices()
    except (EyechartError, *DAMAGED):
        return None
    return asked


def kept_prices(run_dir: Path) -> TokenPrices | None:
    """Prices of tokens that were asked with last; None if none were given."""
    asked = kept(run_dir)
    return None if asked is None else asked.prices().tokens


def kept_found(run_dir: Path) -> list[Recommendation]:
    """The recommendations, by the records of now; [] if none was asked for, or if what was asked
    cannot be answered any more."""
    asked = kept(run_dir)
    try:
        return [] if asked is None else asked.of(run_dir)
    except (EyechartError, *DAMAGED):
        return []

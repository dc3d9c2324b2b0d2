"""Writing a matplotlib figure as SVG, PDF or PNG. matplotlib is in the extra `plot`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from eyechart.core.errors import InputError, PluginError
from eyechart.store.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOT_FORMATS = (".svg", ".png", ".pdf")


def check_plot(path: Path) -> None:
    """Check that a plot can be drawn. Raises InputError, PluginError."""
    if path.suffix.lower() not in PLOT_FORMATS:
        raise InputError(f"{path}: a plot is one of {', '.join(PLOT_FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PluginError("a plot needs matplotlib; pip install 'eyechart[plot]'") from error


def save_plot(figure: Figure, path: Path) -> None:
    """Write a figure. The suffix chooses the format; the same figure gives the same file.

    Fonts are embedded: as TrueType in PDF, as outlines in SVG.

    Raises:
        StoreError: the file cannot be written.
    """
    import matplotlib as mpl

    form = path.suffix.lower().removeprefix(".")
    image = io.BytesIO()
    undated = {} if form == "png" else {"Date" if form == "svg" else "CreationDate": None}
    with mpl.rc_context({"svg.hashsalt": "eyechart", "pdf.fonttype": 42}):
        figure.savefig(image, format=form, dpi=300, metadata=undated)
    write_atomic(path, image.getvalue())

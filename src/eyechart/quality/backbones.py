"""Networks of image classification that LPIPS, DISTS and FID stand on.

Their weights are files of the projects that published them. They are looked for where torch keeps
downloads ($TORCH_HOME/hub/checkpoints), under the name that the libraries use, and downloaded only
if a metric is opened with `download=true`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import EyechartError, InputError, one_line
from eyechart.core.foreign import foreign_file
from eyechart.core.plugins import how_to_install


@cache
def _import_problem(package: str) -> str:
    """Why an installed package cannot be imported, or "".

    torchvision of a build for other devices than torch's raises while it is imported. It is tried
    once, because a second try can fail for another reason.
    """
    found = attempt("load", partial(import_module, package))
    return one_line(found.message) if isinstance(found, Failed) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneFile:
    """The file of a network's weights. packages: that read it."""

    url: str
    packages: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The last 8 digits before the suffix are the first of its sha256."""
        return Path(urlsplit(self.url).path).name

    def path(self) -> Path:
        """Where the file belongs. Imports torch."""
        import torch

        return Path(torch.hub.get_dir()) / "checkpoints" / self.file_name

    def check(self, metric: str, *, download: bool) -> None:
        """Import the packages and look for the file; reads no weights. Raises InputError."""
        for package in self.packages:
            if find_spec(package) is None:
                raise InputError(
                    f"{metric}: needs the package {package}; {how_to_install(package)}"
                )
            if problem := _import_problem(package):
                raise InputError(
                    f"{metric}: the package {package} cannot be imported ({problem}); torchvision "
                    "has to come from the package index that torch came from"
                )
        path = self.path()
        if not path.is_file() and not download:
            raise InputError(
                f"{metric}: no weights {path}; download {self.url} to it, or name the metric as "
                f"{metric}:download=true"
            )

    def ready(self, metric: str, *, download: bool) -> Path:
        """The file, downloaded if that was asked for, and checked to hold only tensors.

        The libraries read it with pickle, which is safe for a file that a reader of tensors takes.

        Raises InputError: as `check`; not a file of weights. EyechartError: the download failed.
        """
        import torch

        self.check(metric, download=download)
        path = self.path()
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            digits = path.stem.rpartition("-")[2]
            try:
                torch.hub.download_url_to_file(
                    self.url, str(path), hash_prefix=digits, progress=False
                )
            except (OSError, RuntimeError) as error:
                raise EyechartError(f"{self.url}: download failed ({one_line(error)})") from error
        with foreign_file(path, "a file of weights"):
            torch.load(path, map_location="meta", weights_only=True)
        return path

"""The objects below one URL; the only module that imports fsspec.

An error becomes one line that names the URL. Credentials are never in it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from eyechart.core.errors import EyechartError, InputError, StoreError, one_line
from eyechart.core.plugins import how_to_install
from eyechart.core.shared_setting import SharedSetting

# Scheme -> package of its file system, and where credentials are looked for.
SCHEMES = {
    "s3": ("s3fs", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run aws configure"),
    "gs": ("gcsfs", "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth"),
    "az": ("adlfs", "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"),
}
_SETTINGS: dict[str, dict[str, Any]] = {
    # botocore would wait a minute for each of five tries.
    "s3": {"config_kwargs": {"connect_timeout": 10, "retries": {"max_attempts": 3}}}
}
_SECRET = re.compile("KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|CONNECTION_STRING", re.IGNORECASE)
_LEAST_SECRET = 6  # characters; shorter values are words that may be in any message


def _silence(package: str) -> Callable[[], None]:
    """Errors are raised, too; gcsfs prints their traces, and warns at every call of some buckets.
    A program that uses such a package itself keeps its own setting outside of our calls."""
    logger = logging.getLogger(package)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    return lambda: logger.setLevel(level)


_quiet = {
    scheme: SharedSetting(partial(_silence, package)) for scheme, (package, _) in SCHEMES.items()
}


def open_bucket(url: str) -> Bucket:
    """The objects below a URL. Connects to nothing yet. Raises InputError: a missing package."""
    scheme, _, root = url.partition("://")
    package = SCHEMES[scheme][0]
    try:
        import fsspec

        settings = _SETTINGS.get(scheme, {})
        with _quiet[scheme].held():
            files = fsspec.filesystem(
                scheme, use_listings_cache=False, skip_instance_cache=True, **settings
            )
    except ImportError as error:
        raise InputError(
            f"{url}: needs the package {package}; {how_to_install(package)}"
        ) from error
    except Exception as error:  # credentials of some stores are read here
        raise InputError(f"{url}: {_reason(scheme, error)}") from error
    return Bucket(url, files, root)


class Bucket:
    """Objects by their name below a URL.

    All methods raise StoreError. `list`, and `write` of a new object, raise InputError, because
    they are what finds out that a bucket cannot be used.
    """

    def __init__(self, url: str, files: Any, root: str) -> None:
        self.url, self._files, self._root = url, files, root
        self._listed: dict[str, tuple[str, int]] = {}  # name -> path and size

    def list(self) -> dict[str, list[str]]:
        """Name -> size and digest, of all objects."""
        with self._errors("", InputError):
            found = self._files.find(self._root, detail=True)
            if not isinstance(found, dict):  # of adlfs, for the URL of one object
                found = {path: self._files.info(path) for path in found}
        listing = {}
        for path, info in found.items():
            name = path.removeprefix(self._root).strip("/")
            name = name or path.rpartition("/")[2]  # the URL of one object
            if not set(name.split("/")) & {"", ".", ".."}:  # else it would be outside of a folder
                tag = info.get("ETag") or info.get("etag") or info.get("last_modified") or ""
                listing[name] = [str(info["size"]), str(tag)]
                self._listed[name] = (path, int(info["size"]))
        return listing

    def size_bytes(self, name: str) -> int:
        """Size of an object that was listed."""
        return self._listed[name][1]

    def read(self, name: str) -> bytes:
        """All bytes of an object. Raises FileNotFoundError, too."""
        with self._errors(name, missing=True):
            return bytes(self._files.cat_file(self._path(name)))

    def write(self, name: str, data: bytes, *, new: bool = False) -> None:
        """Replace an object. new: raise FileExistsError if there is one."""
        mode = {"mode": "create"} if new else {}
        kind = InputError if new else StoreError
        with self._errors(name, kind, missing=new):
            self._files.pipe_file(self._path(name), data, **mode)

    def upload(self, name: str, path: Path) -> None:
        """Replace an object by a file."""
        with self._errors(name):
            self._files.put_file(str(path), self._path(name))

    def download(self, name: str, path: Path) -> None:
        """Write an object to a file, which gets its name when it is whole."""
        temporary = path.with_name(f".{path.name}.tmp")
        with self._errors(name):
            self._files.get_file(self._path(name), str(temporary))
            temporary.replace(path)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, as far as they are there."""
        for name in names:
            with self._errors(name, missing=True):
                try:
                    self._files.rm_file(self._path(name))
                except FileNotFoundError:
                    continue

    def _path(self, name: str) -> str:
        return self._listed.get(name, (f"{self._root}/{name}", 0))[0]

    @contextmanager
    def _errors(
        self, name: str, kind: type[EyechartError] = StoreError, *, missing: bool = False
    ) -> Iterator[None]:
        """missing: errors that say that an object is there, or is not, are raised as they are."""
        scheme = self.url.partition(":")[0]
        try:
            with _quiet[scheme].held():
                yield
        except Exception as error:
            if missing and isinstance(error, FileNotFoundError | FileExistsError):
                raise
            where = f"{self.url}/{name}" if name else self.url
            raise kind(f"{where}: {_reason(scheme, error)}") from error


def _reason(scheme: str, error: BaseException) -> str:
    text, how = _without_secrets(one_line(error)), SCHEMES[scheme][1]
    lower = text.lower()
    denied = ("forbidden", "invalid credentials", "anonymous caller", "authenticate the request")
    if isinstance(error, PermissionError) or any(words in lower for words in denied):
        return f"access denied ({text}); {how}"
    if "credential" in lower:
        return f"no credentials; {how}"
    if isinstance(error, FileNotFoundError) or type(error).__name__ == "ResourceNotFoundError":
        return "no such bucket or object"
    return f"cannot be used ({text})"


def _without_secrets(text: str) -> str:
    for name, value in os.environ.items():
        if _SECRET.search(name):
            # A connection string is a list of NAME=VALUE.
            for part in (value, *(field.partition("=")[2] for field in value.split(";"))):
                if len(part) >= _LEAST_SECRET:
                    text = text.replace(part, "...")
    return text

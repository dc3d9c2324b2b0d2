"""Run directories and task files in an object store (s3://, gs://, az://).

    s3://bucket/run --pull--> local copy <--- all other code reads and writes this folder
                    <--push--     at intervals while a command writes, and at its end

    bucket/run/...                the files of the run directory, with their names
               packs/*.tar        bitstreams and decoded images: many small files at a time
               lease.json         the command that writes now

The local copy is in the user's cache folder and may be deleted while no command uses it. A file is
uploaded only after the files that it was made from, and downloaded before them, so that no reader
has an index that is newer than its records. This is the only module that makes local copies.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path

from eyechart.core.errors import InputError, NotDownloadedError, StoreError, one_line
from eyechart.core.files import URL
from eyechart.store.bucket import SCHEMES, open_bucket
from eyechart.store.files import store_errors, write_atomic
from eyechart.store.lease import HeldError, lease
from eyechart.store.packs import pack, packed_names, unpack
from eyechart.store.remote_lease import RemoteLease
from eyechart.store.sync_state import SyncState

PUSH_EVERY_S = 15.0
IMAGES_EVERY_S = 300.0  # bitstreams can be made again, and looking for new ones takes long
# Top folders that are not mirrored; the last is what an export keeps of its images.
_LOCAL_ONLY = frozenset({"leases", "bitstreams", "decoded", ".eyechart"})
_PARALLEL = 16
_READ_BYTES = 64 << 20  # a larger file is not read into memory
SMALL_BYTES = 100_000_000  # what a command that only describes may download from one URL
# Files that are made from others come last when uploading.
_ORDER = {"index.json": 2, "sums.json": 2, "current.json": 2, "analysis.json": 3, "report.html": 3}


def url_of(place: str | Path) -> str:
    """The URL that a place is, without a slash at its end; "" for a local path.

    Raises:
        InputError: a URL of an unknown scheme, or one that contains a password.
    """
    text = str(place)
    found = URL.match(text)
    if found is None:
        return ""
    scheme, rest = found[1], text[found.end() :].rstrip("/")
    if "@" in rest.partition("/")[0]:
        raise InputError(
            f"{scheme}://...: a URL with a user or password; allowed: a bucket and a path, with "
            "the credentials in the environment"
        )
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        how = " (download it first)" if scheme in ("http", "https", "ftp") else ""
        raise InputError(
            f"{one_line(f'{scheme}://{rest}', 200)}: unknown scheme {scheme}; allowed: {known}, "
            f"a local path{how}"
        )
    return f"{scheme}://{rest}"


@contextmanager
def reading(
    place: str | Path, *, images: Callable[[Path], bool] = lambda folder: False
) -> Iterator[Path]:
    """A run directory to read: the path itself, or the up-to-date local copy of a URL.

    images: whether bitstreams and decoded images of the local copy are needed, too.

    Raises:
        InputError: the object store cannot be used, or nothing is there.
        StoreError: a file cannot be downloaded.
    """
    url = url_of(place)
    if not url:
        yield Path(place)
        return
    copy = _Copy(url)
    copy.pull_to_read(images, "; eyechart run --out makes a run")
    yield copy.folder


@contextmanager
def writing(
    place: str | Path,
    *,
    wait: bool = False,
    images: bool = True,
    note: Callable[[str], None] = lambda text: None,
    every_s: float = PUSH_EVERY_S,
) -> Iterator[Path]:
    """A run directory to write: the path itself, or the local copy of a URL.

    The copy is uploaded every `every_s` seconds and at the end of the block.

    wait: until another command that writes has ended, instead of raising. images: whether
    bitstreams and decoded images are needed. note: called with a line if something is to be known.

    Raises:
        InputError: the object store cannot be used.
        HeldError: another command writes to it.
        StoreError: files could not be uploaded; the local copy has them.
    """
    url = url_of(place)
    if not url:
        yield Path(place)
        return
    copy = _Copy(url)
    with copy.to_write(wait=wait, images=images, note=note, every_s=every_s):
        yield copy.folder


_most_bytes: ContextVar[int | None] = ContextVar("_most_bytes", default=None)


@contextmanager
def small_downloads(most_bytes: int = SMALL_BYTES) -> Iterator[None]:
    """Context for code that only describes: `fetched` refuses a larger download."""
    token = _most_bytes.set(most_bytes)
    try:
        yield
    finally:
        _most_bytes.reset(token)


def fetched(place: str) -> Path:
    """A folder or file of data: the path itself, or the local copy of all files at a URL.

    Raises:
        InputError: the object store cannot be used, or nothing is there.
        NotDownloadedError: more is to be downloaded than a block of `small_downloads` allows.
    """
    url = url_of(place)
    if not url:
        return Path(place).expanduser()
    copy = _Copy(url)
    copy.pull_to_read(lambda folder: False, most_bytes=_most_bytes.get())
    alone = copy.folder / copy.folder.name  # a URL of one file
    return alone if alone.is_file() else copy.folder


class _Copy:
    """The local copy of a URL: a folder, and beside it what was known at the last transfer."""

    def __init__(self, url: str) -> None:
        import platformdirs

        self.url, self.bucket = url, open_bucket(url)
        cache = platformdirs.user_cache_path("eyechart", appauthor=False) / "object-stores"
        self._place = cache / sha256(url.encode()).hexdigest()[:16]
        self.folder = self._place / url.rpartition("/")[2]
        self._state = SyncState(self._place / "state.json")

    # --- download -----------------------------------------------------------------------------

    def pull_to_read(
        self, images: Callable[[Path], bool], hint: str = "", most_bytes: int | None = None
    ) -> None:
        """Download what has changed, unless a command of this machine writes the local copy, which
        is newer then. hint: what to do where nothing is. most_bytes: of the files to download."""
        listing = self.bucket.list()
        if not listing:
            raise InputError(f"{self.url}: nothing is there{hint}")
        self._make_place()
        with lease(self._place / "transfer", wait=True):
            try:
                with lease(self._place / "writer", shared=True):
                    pass  # a command that starts now waits for `transfer`
            except HeldError:
                return
            self._pull(listing, most_bytes)
            if images(self.folder):
                self._pull_images(listing)

    def _pull(self, listing: dict[str, list[str]], most_bytes: int | None = None) -> None:
        state = self._state
        state.load()
        names = {name for name in listing if not packed_names(name) and name != RemoteLease.NAME}
        for gone in state.remote.keys() - names:
            self._path(gone).unlink(missing_ok=True)
            state.forget(gone)
        changed = [
            name
            for name in names
            if state.remote.get(name) != listing[name] or not self._path(name).exists()
        ]
        size_bytes = sum(map(self.bucket.size_bytes, changed))
        if most_bytes is not None and size_bytes > most_bytes:
            raise NotDownloadedError(
                f"{self.url}: {size_bytes:,} bytes to download; allowed here: {most_bytes:,}; "
                "eyechart run downloads them"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        for group in _groups(changed, reverse=True):
            for name in self._in_parallel(self._download, group):
                state.remote[name] = listing[name]
        state.save()

    def _download(self, name: str) -> None:
        path = self._path(name)
        with store_errors(path, "be written"):
            path.parent.mkdir(parents=True, exist_ok=True)
        continued = name.endswith(".jsonl") and path.exists()
        if self.bucket.size_bytes(name) > _READ_BYTES and not continued:
            self.bucket.download(name, path)
        else:
            data = self.bucket.read(name)
            # After a kill the local copy may have lines that were not uploaded yet.
            if continued and path.read_bytes().startswith(data):
                self._state.local.pop(name, None)
                return
            write_atomic(path, data, sync=False)
        self._state.local[name] = _stamp(path)

    def _pull_images(self, listing: Iterable[str]) -> None:
        for name in sorted(filter(packed_names, listing)):
            if name not in self._state.packs:
                unpack(self.bucket, name, self.folder)
                self._state.packs.append(name)
        self._state.save()

    # --- upload -------------------------------------------------------------------------------

    @contextmanager
    def to_write(
        self, *, wait: bool, images: bool, note: Callable[[str], None], every_s: float
    ) -> Iterator[None]:
        """The local copy, uploaded while the block runs and at its end."""
        listing = self.bucket.list()  # before anything is written
        held = RemoteLease(self.bucket, every_s)
        with ExitStack() as stack:
            self._make_place()
            try:
                stack.enter_context(lease(self._place / "writer", wait=wait))
            except HeldError as error:
                raise HeldError(str(error).replace(str(self._place), self.url)) from None
            stack.enter_context(held.taken(wait=wait, note=note))
            with lease(self._place / "transfer", wait=True):
                listing = self.bucket.list()  # of the command that has just ended
                self._pull(listing)
                if images:
                    self._pull_images(listing)
            pushing = _Pushing(self, held, note, every_s)
            stack.enter_context(_repeated(held.renew, every_s))
            try:
                with _repeated(pushing.files, every_s), _repeated(pushing.images, IMAGES_EVERY_S):
                    yield
            finally:
                pushing.at_end()

    def push(self) -> None:
        """Upload the files that have changed, and delete those that are gone. Raises StoreError."""
        state = self._state
        found = dict(self._files())
        changed = [name for name, stamp in found.items() if state.local.get(name) != stamp]
        for group in _groups(changed):
            for name in self._in_parallel(self._upload, group):
                state.local[name] = found[name]
        gone = sorted(state.remote.keys() - found.keys())
        self.bucket.delete(gone)
        for name in gone:
            state.forget(name)
        if changed or gone:
            listing = self.bucket.list()
            state.remote = {name: listing[name] for name in found if name in listing}
            state.save()

    def push_images(self) -> None:
        """Upload new bitstreams and decoded images, together. Raises StoreError."""
        for name in pack(self.bucket, self.folder, self._state, self._place):
            self._state.packs.append(name)
        self._state.save()

    def _upload(self, name: str) -> None:
        path = self._path(name)
        with store_errors(path, "be read"):
            if path.stat().st_size > _READ_BYTES:
                self.bucket.upload(name, path)
            else:
                self.bucket.write(name, path.read_bytes())

    def _files(self) -> Iterator[tuple[str, list[int]]]:
        """All files of the folder that are mirrored, with size and time."""
        for top, folders, files in os.walk(self.folder):
            if Path(top) == self.folder:
                folders[:] = [name for name in folders if name not in _LOCAL_ONLY]
            for name in files:
                path = Path(top) / name
                if not name.startswith("."):  # of `write_atomic`, before it has its name
                    yield path.relative_to(self.folder).as_posix(), _stamp(path)

    # --- both ---------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        return self.folder / name

    def _make_place(self) -> None:
        with store_errors(self._place, "be made"):
            self._place.mkdir(parents=True, exist_ok=True)

    def _in_parallel(self, call: Callable[[str], None], names: Iterable[str]) -> Iterator[str]:
        """Make a call for each name; yields the names."""
        with ThreadPoolExecutor(_PARALLEL) as threads:
            listed = list(names)
            for name, _ in zip(listed, threads.map(call, listed), strict=True):
                yield name


class _Pushing:
    """The uploads of one command. A failed upload is tried again at the next interval."""

    def __init__(
        self, copy: _Copy, held: RemoteLease, note: Callable[[str], None], every_s: float
    ) -> None:
        self._copy, self._held, self._note, self._every_s = copy, held, note, every_s
        self._one_at_a_time = threading.Lock()
        self._failing = False

    def files(self) -> None:
        """Upload the files; a problem is noted once."""
        self._try(self._copy.push)

    def images(self) -> None:
        """Upload the bitstreams and decoded images; a problem is noted once."""
        self._try(self._copy.push_images)

    def _try(self, push: Callable[[], None]) -> None:
        if self._held.lost:
            return
        try:
            with self._one_at_a_time:
                push()
            self._failing = False
        except StoreError as error:
            if not self._failing:
                self._note(f"not uploaded, trying again every {self._every_s:g} s: {error}")
            self._failing = True

    def at_end(self) -> None:
        """Upload the rest. Raises StoreError."""
        if self._held.lost:
            raise HeldError(f"{self._copy.url}: {self._held.lost} writes to it now; it has less")
        try:
            with self._one_at_a_time:
                self._copy.push_images()
                self._copy.push()
        except StoreError as error:
            raise StoreError(
                f"{error}; not everything is uploaded, run the same command again on this machine"
            ) from error


@contextmanager
def _repeated(call: Callable[[], None], every_s: float) -> Iterator[None]:
    """Make a call every few seconds, in a thread, while the block runs."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(every_s):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _groups(names: Iterable[str], *, reverse: bool = False) -> list[list[str]]:
    """The names in groups, in the order in which they are uploaded."""
    groups: dict[int, list[str]] = {}
    for name in sorted(names):
        last = name.rpartition("/")[2]
        groups.setdefault(_ORDER.get(last, int(name.endswith(".jsonl"))), []).append(name)
    return [groups[place] for place in sorted(groups, reverse=reverse)]

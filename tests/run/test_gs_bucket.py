"""Run directories and task files at gs://, with an emulator of Google Cloud Storage.

It needs `pip install gcsfs gcp-storage-emulator`, which no extra installs. The emulator ignores the
condition that an object is new, as some services do that speak S3.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from eyechart.cli import run_args
from eyechart.store.bucket import open_bucket
from eyechart.store.remote import reading, writing
from tests.run.bucket_runs import records, run, task_data

pytest.importorskip("gcsfs")
emulator = pytest.importorskip("gcp_storage_emulator.server")

pytestmark = pytest.mark.slow
URL = "gs://photos"


@pytest.fixture(autouse=True)
def _server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = emulator.create_server("127.0.0.1", port, True, "photos")
    running.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    running.stop()


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    with task_data(tmp_path, images=4) as folder:
        yield folder


def test_a_run_is_that_in_a_folder_also_on_another_machine(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_bucket(f"{URL}/data").write("POPE.tsv", (data / "POPE.tsv").read_bytes())
    assert run(data, tmp_path / "run") == 0
    assert run(f"{URL}/data/POPE.tsv", f"{URL}/run") == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with reading(f"{URL}/run") as folder:
        assert records(folder) == records(tmp_path / "run")
    assert run_args(["runs", "drop", f"{URL}/run", "--codec", "jpeg", "--yes"]) == 0
    assert "lease.json" not in open_bucket(f"{URL}/run").list()


def test_what_cannot_be_used_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(data, "gs://not-there/run") == 2
    with writing(f"{URL}/both", every_s=0.1):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
        assert run(data, f"{URL}/both") == 1
    missing, both = capsys.readouterr().err.splitlines()
    assert "gs://not-there/run: no such bucket" in missing
    assert f"{URL}/both: in use by process {os.getpid()}" in both

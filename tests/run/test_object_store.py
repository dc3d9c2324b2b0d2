"""Run directories and task files in an object store: moto's server on the loopback."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.faults import toy
from eyechart.cli import run_args
from eyechart.core.images import encode_png
from eyechart.core.records import Record
from eyechart.core.types import VLM, Decoding, Request
from eyechart.runner import readiness
from eyechart.store.bucket import Bucket
from eyechart.store.remote import fetched, reading, writing
from eyechart.vlms import open_vlm
from eyechart.vlms.adapter_identity import adapter_component
from eyechart.vlms.replicated import ReplicatedVLM
from eyechart.zoo import adapter_dir, weights_dir
from tests.run.bucket_runs import records, run, task_data

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

SECRET = "a-secret-that-is-never-printed"
BUCKET = "photos"
CHILD = Path(__file__).with_name("object_store_child.py")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with task_data(tmp_path_factory.mktemp("object-store"), images=8) as folder:
        yield folder


@pytest.fixture(autouse=True)
def _machine(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, and an empty cache."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    move_to(tmp_path / "cache", monkeypatch)


@pytest.fixture
def files(_machine: None) -> Any:
    import s3fs

    found = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    if not found.exists(BUCKET):
        found.mkdir(BUCKET)
    for path in found.find(BUCKET):
        found.rm_file(path)
    return found


def move_to(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on as on another machine: with another cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(machine))


@pytest.fixture(scope="module")
def local(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("local") / "run"
    assert run(data, out) == 0
    return out


@pytest.fixture(scope="module")
def undisturbed(local: Path) -> dict[str, list[Record]]:
    return records(local)


@pytest.mark.slow
def test_a_run_in_a_bucket_can_be_read_from_another_machine(
    files: Any,
    data: Path,
    undisturbed: dict[str, list[Record]],
    local: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = f"s3://{BUCKET}/runs/first"
    assert run(data, url) == 0
    assert not files.exists(f"{BUCKET}/runs/first/lease.json")
    move_to(tmp_path / "other", monkeypatch)
    with reading(url) as folder:
        assert records(folder) == undisturbed
        assert not list(folder.glob("bitstreams/*/*/*"))  # not downloaded for a table
    capsys.readouterr()
    assert run_args(["table", "scores", str(local)]) == 0
    printed = capsys.readouterr().out
    assert run_args(["table", "scores", url]) == 0
    assert capsys.readouterr().out == printed
    assert run_args(["recommend", url]) == 0
    capsys.readouterr()
    assert run_args(["report", url]) == 0
    assert Path(capsys.readouterr().out.strip()).read_text().startswith("<!doctype html>")
    assert SECRET not in "".join(str(path) for path in files.find(BUCKET))


@pytest.mark.slow
def test_a_killed_run_continues_on_another_machine(
    files: Any,
    data: Path,
    undisturbed: dict[str, list[Record]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"s3://{BUCKET}/killed"
    path = os.pathsep.join([str(data.parent), str(Path.cwd())])
    child = subprocess.run(
        [sys.executable, str(CHILD), str(data), url],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        timeout=120,
    )
    assert child.returncode == -signal.SIGKILL
    assert files.exists(f"{BUCKET}/killed/lease.json")
    with reading(url) as folder:
        before = sum(map(len, records(folder).values()))
    assert 0 < before < sum(map(len, undisturbed.values()))
    move_to(tmp_path / "other", monkeypatch)
    assert run(data, url) == 0
    with reading(url) as folder:
        assert records(folder) == undisturbed
        assert list(folder.glob("bitstreams/*/*/*"))


def test_lines_that_were_not_uploaded_are_kept_on_their_machine(
    files: Any, data: Path, undisturbed: dict[str, list[Record]]
) -> None:
    url = f"s3://{BUCKET}/shorter"
    assert run(data, url) == 0
    path = next(one for one in files.find(f"{BUCKET}/shorter") if one.endswith("records.jsonl"))
    whole = files.cat_file(path)
    files.pipe_file(path, whole[: len(whole) // 2])
    assert run(data, url) == 0
    assert files.cat_file(path) == whole


def test_cells_deleted_on_another_machine_are_deleted_there(
    files: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{BUCKET}/dropped"
    assert run(data, url) == 0
    move_to(tmp_path / "other", monkeypatch)
    assert run_args(["rescore", url, "--data", str(data)]) == 0
    assert run_args(["runs", "drop", url, "--codec", "jpeg", "--yes"]) == 0
    left = [path for path in files.find(f"{BUCKET}/dropped") if path.endswith("/cell.json")]
    assert len(left) == 1


@pytest.mark.slow
def test_task_files_are_read_from_a_bucket(
    files: Any,
    data: Path,
    undisturbed: dict[str, list[Record]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files.pipe_file(f"{BUCKET}/data/POPE.tsv", (data / "POPE.tsv").read_bytes())
    for place in (f"s3://{BUCKET}/data/", f"s3://{BUCKET}/data/POPE.tsv"):
        out = tmp_path / place[-4:].strip("/.")
        assert run(place, out) == 0
        assert records(out) == undisturbed
    move_to(tmp_path / "other", monkeypatch)
    assert run_args(["table", "scores", str(out)]) == 0  # finds the task's file again


@pytest.mark.slow
def test_a_check_of_own_images_in_a_bucket_is_that_in_a_folder(
    files: Any,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0)
    for number in range(2):
        png = encode_png(noise.integers(0, 256, (24, 32, 3), np.uint8))
        (photos / f"{number}.png").write_bytes(png)
    url, out = f"s3://{BUCKET}/checked", tmp_path / "checked"
    command = ["check", str(photos), "--vlm", toy.VLM, "--codecs", "jpeg", "--workers", "0"]
    assert run_args([*command, "--out", str(out)]) == 0
    capsys.readouterr()
    assert run_args([*command, "--out", url]) == 0
    assert f"Run directory: {url}" in capsys.readouterr().out
    move_to(tmp_path / "other", monkeypatch)
    with reading(url) as folder:
        assert records(folder) == records(out)
    assert run_args(["recommend", url]) == 0


def exported(data: Path, out: Path | str, *more: str) -> int:
    command = ["export", "tsv", "POPE", "--codecs", "jpeg:levels=[10]", "--data", str(data)]
    return run_args([*command, "--workers", "0", "--out", str(out), *more])


def test_task_files_are_exported_to_a_bucket(files: Any, data: Path, tmp_path: Path) -> None:
    out, listed = tmp_path / "copies", tmp_path / "copies.json"
    assert exported(data, out) == 0
    assert exported(data, f"s3://{BUCKET}/copies", "--json", str(listed)) == 0
    (there,) = files.find(BUCKET)  # neither a lease nor what the export keeps of its images
    (here,) = out.glob("*.tsv")
    assert files.cat_file(there) == here.read_bytes()
    (copied,) = json.loads(listed.read_text())["copies"]
    assert copied["file"] == f"s3://{there}"


def test_image_paths_cannot_be_in_a_bucket(
    files: Any, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(data, f"s3://{BUCKET}/copies", "--paths") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "paths needs a folder" in line
    assert files.find(BUCKET) == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_of_two_writers_of_a_url_one_is_refused(
    files: Any,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: bool,
) -> None:
    url = f"s3://{BUCKET}/both"
    with writing(url, every_s=0.1):
        if elsewhere:
            move_to(tmp_path / "other", monkeypatch)
        assert run(data, url) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{url}: in use by process {os.getpid()} on" in line
    assert run(data, url) == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://not-there/run", "s3://not-there/run: no such bucket"),
        ("ftp://server/run", "unknown scheme ftp; allowed: s3://, gs://, az://"),
        ("s3://key:word@photos/run", "a URL with a user or password"),
    ],
)
@pytest.mark.parametrize("option", ["--out", "--data"])
def test_a_url_that_cannot_be_used_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, said: str, option: str
) -> None:
    out = tmp_path / "run"
    code = run(data, url) if option == "--out" else run(url, out)
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "word" not in line.replace("password", "")
    assert not out.exists()
    assert not (tmp_path / "cache" / "eyechart" / "object-stores").exists()


def test_without_credentials_or_with_wrong_ones_none_are_printed(
    files: Any,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert run(data, f"s3://{BUCKET}/run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no credentials; set AWS_ACCESS_KEY_ID" in line
    assert not (tmp_path / "cache" / "eyechart").exists()


def test_commands_that_describe_download_no_large_data(
    files: Any,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"s3://{BUCKET}/large"
    for path in data.iterdir():
        files.pipe_file(f"{url}/{path.name}", path.read_bytes())
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"vlms: eyechart-mini\ntasks: POPE\ncodecs: source\ndata: {url}\n")
    with monkeypatch.context() as large:
        large.setattr(Bucket, "size_bytes", lambda bucket, name: 10**9)
        assert run_args(["plan", str(plan)]) == 0
        assert f"the official file's size; not read from {url}" in capsys.readouterr().out
        assert run_args(["task", "list", "--data", url]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{url}: 1,000,000,000 bytes to download; allowed here: 100,000,000" in line
        monkeypatch.setenv("EYECHART_DATA", url)
        (pope,) = (found for found in readiness.tasks() if found.name == "POPE")
        assert "bytes to download" in pope.detail
        assert not list((tmp_path / "cache").rglob("*.tsv"))
    fetched(url)
    assert run_args(["plan", str(plan)]) == 0
    assert "official" not in capsys.readouterr().out  # counted in the local copy


def test_an_adapter_is_read_from_a_bucket(files: Any) -> None:
    url = f"s3://{BUCKET}/adapters/universal"
    for path in adapter_dir("universal").iterdir():
        files.pipe_file(f"{url}/{path.name}", path.read_bytes())
    assert adapter_component(url) == adapter_component("universal")
    other = ":conditioning=unknown"
    assert adapter_component(url + other) == adapter_component("universal" + other)


def test_weights_of_a_codec_are_read_from_a_bucket(
    files: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("constriction")
    from eyechart.codecs.learned.plugins import ElicMiniCodec

    shipped = ElicMiniCodec.architecture.shipped
    assert shipped is not None
    monkeypatch.chdir(tmp_path)
    url = f"s3://{BUCKET}/codecs/mine"
    Path("photo.png").write_bytes(encode_png(np.zeros((64, 64, 3), np.uint8)))
    add = "codec add elic-mini --level 0.01 --into mine"
    for path in shipped.iterdir():
        files.pipe_file(f"s3://{BUCKET}/codecs/shipped/{path.name}", path.read_bytes())
    assert run_args([*add.split(), f"s3://{BUCKET}/codecs/shipped/1.safetensors"]) == 0
    for path in Path("mine").iterdir():
        files.pipe_file(f"{url}/{path.name}", path.read_bytes())
    capsys.readouterr()
    encoded = {}
    for weights in ("mine", url):
        assert run_args(["codec", "show", "elic-mini", "--weights", weights]) == 0
        assert "0.01" in capsys.readouterr().out
        command = f"codec encode photo.png photo.bin --codec elic-mini --weights {weights}"
        assert run_args([*command.split(), "--level", "0.01"]) == 0
        encoded[weights] = Path("photo.bin").read_bytes()
    assert len(set(encoded.values())) == 1
    (line,) = _errors(["codec", "show", f"elic-mini:weights={url}-not"], capsys)
    assert f"{url}-not: nothing is there" in line
    with monkeypatch.context() as large:
        large.setattr(Bucket, "size_bytes", lambda bucket, name: 10**9)
        move_to(tmp_path / "cache" / "other", large)
        (line,) = _errors(["codec", "show", "elic-mini", "--weights", f"{url}/"], capsys)
        assert "bytes to download; allowed here: 100,000,000" in line
    files.pipe_file(f"s3://{BUCKET}/other/readme", b"no weights")
    command = "codec encode photo.png other.bin --level 0.01 --codec elic-mini --weights"
    (line,) = _errors([*command.split(), f"s3://{BUCKET}/other"], capsys)
    assert f"upload all its files to s3://{BUCKET}/other" in line
    (line,) = _errors([*add.split(), "https://example.org/0.008.pth.tar"], capsys)
    assert "unknown scheme https; allowed: s3://, gs://, az://, a local path (download it" in line
    (line,) = _errors([*add.split(), f"{url}/not.safetensors"], capsys)
    assert f"{url}/not.safetensors: nothing is there" in line
    command = f"codec add elic-mini photo.png --level 0.01 --into {url}"
    (line,) = _errors(command.split(), capsys)
    assert "is a URL; allowed here: a local path" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cache",
        "mine",
        "photo.bin",
        "photo.png",
    ]


def _errors(command: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of a command that ends with exit code 2."""
    assert run_args(command) == 2
    return capsys.readouterr().err.splitlines()


def test_a_vlm_is_read_from_a_bucket(files: Any, data: Path, tmp_path: Path) -> None:
    """Also by a worker process, which makes or finds the copy of its machine."""
    url, folder = f"s3://{BUCKET}/vlms/eyechart-mini", weights_dir("eyechart-mini")
    for path in folder.iterdir():
        files.pipe_file(f"{url}/{path.name}", path.read_bytes())
    found = {}
    for vlm in (str(folder), f"{url}:dtype=float32"):
        out = tmp_path / f"run{len(found)}"
        assert run_args(toy.run_arguments(data, out, vlm=vlm)) == 0
        found[vlm] = records(out)
    local, remote = found.values()
    assert remote == local
    copies = ReplicatedVLM(partial(opened_on, url), ("cpu",))
    try:
        question = Request(image=np.zeros((32, 32, 3), np.uint8), prompts=("Is it red?",))
        (alone,) = opened_on(url, "cpu").answer([question], Decoding())
        assert copies.answer([question], Decoding()) == [alone]
    finally:
        copies.close()


def opened_on(url: str, device: str) -> VLM:
    return open_vlm(url, device=device)


def test_an_adapter_or_a_vlm_that_is_not_there_is_one_line(
    files: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, out = f"s3://{BUCKET}/nothing", tmp_path / "run"
    command = toy.run_arguments(data, out, vlm="eyechart-mini")
    files.pipe_file(f"s3://{BUCKET}/no-weights/config.json", b'{"model_type": "qwen2_5_vl"}')
    assert run_args([*command, "--adapter", url]) == 2
    for vlm in (url, f"s3://{BUCKET}/no-weights", f"{url}:dtype"):
        assert run_args(toy.run_arguments(data, out, vlm=vlm)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("; ")[0] for line in lines[:2]] == [
        f"eyechart: {url}: nothing is there"
    ] * 2
    assert "no weights: *.safetensors is missing" in lines[2]
    assert f"option 'dtype' of '{url}' is not of the form key=value" in lines[3]
    assert not out.exists()


def test_an_empty_place_is_no_run(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["table", "bd", f"s3://{BUCKET}/nothing"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"s3://{BUCKET}/nothing: nothing is there" in line


def test_without_the_package_the_extra_is_named(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert run(data, f"s3://{BUCKET}/run") == 2
    assert "pip install 'eyechart[cloud]'" in capsys.readouterr().err


def test_a_plan_that_cannot_run_leaves_nothing(files: Any, tmp_path: Path) -> None:
    assert run(tmp_path / "no-data", f"s3://{BUCKET}/run") == 2
    assert files.find(BUCKET) == []

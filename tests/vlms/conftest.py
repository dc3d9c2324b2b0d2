"""Tiny random checkpoints, saved once a session and loaded back as a user's directory is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.random_vlm import QWEN_SIZES, save_qwen2_5_vl
from tests.vlms.openai_asking import KEY
from tests.vlms.tiny_families import save_internvl, save_janus


@pytest.fixture
def library_says() -> Iterator[list[logging.LogRecord]]:
    """What transformers logs meanwhile, and so would show at a user's terminal."""
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger, handler = logging.getLogger("transformers"), Keep()
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


@pytest.fixture(scope="session")
def qwen_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_qwen2_5_vl(tmp_path_factory.mktemp("qwen") / "tiny-qwen", QWEN_SIZES["test"])


@pytest.fixture(scope="session")
def internvl_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_internvl(tmp_path_factory.mktemp("internvl"))


@pytest.fixture(scope="session")
def janus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_janus(tmp_path_factory.mktemp("janus"))


@pytest.fixture
def openai_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

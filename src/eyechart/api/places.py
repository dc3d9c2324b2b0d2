"""Run directories that may be URLs of an object store."""

from eyechart.store.remote import reading, writing

__all__ = ["reading", "writing"]

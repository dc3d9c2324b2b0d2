"""Qwen-VL-Chat behind an OpenAI-style endpoint, in an environment of its own.

Its code of 2023 needs a transformers of 2023, so nothing here imports eyechart: only `model.py`
needs more than the standard library. How to install and run it: docs/serving.md.
"""

"""Qwen-VL-Chat behind an OpenAI-compatible endpoint, in a separate environment.

The model's code of 2023 needs the transformers of 2023, so nothing here imports eyechart, and only
`model.py` needs more than the standard library. Installation and use: docs/serving.md.
"""

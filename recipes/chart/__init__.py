"""The built-in chart: scenes, questions and the small VLM trained on them."""

"""The published tables of "Benchmarking and Enhancing VLM for Compressed Image Understanding"."""

"""From a plan to records: cells, resumable engine, workers, progress."""

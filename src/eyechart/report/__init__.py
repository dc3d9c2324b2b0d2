"""One self-contained HTML page from one frozen analysis."""

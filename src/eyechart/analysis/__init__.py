"""From stored records to curves, BD-Metrics, gaps and tables."""

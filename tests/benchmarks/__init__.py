"""Commands that measure. Each prints what it measured and writes it as JSON into `results`."""

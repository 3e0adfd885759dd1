"""Scribbles: simulated from masks, drawn, degraded, read from files."""

"""`scribblegen study`: which scheme helps, with how little data."""

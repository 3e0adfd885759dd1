"""Procedural scenes of twelve classes with exact masks and captions."""

"""Trains a ControlNet on scribbles over a frozen pipeline."""

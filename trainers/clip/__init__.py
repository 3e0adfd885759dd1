"""Trains a small CLIP-like pair of encoders from nothing: images and texts in one space."""

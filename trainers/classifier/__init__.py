"""Trains classifiers on the classes that an image's strokes name."""

"""Synthetic scribble-segmentation datasets: generate, write, publish, train."""

__version__ = "0.1.0"

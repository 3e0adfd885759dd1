"""Trains segmentors on photographs, scribbles and twins, and measures them."""

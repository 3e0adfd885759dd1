"""Trains a segmentor of any words over a frozen CLIP model, on pairs of images with masks."""

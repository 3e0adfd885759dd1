"""Trains the network that tells which near places of an image belong together."""

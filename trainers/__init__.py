"""Trainers: they read a subset and write a model."""

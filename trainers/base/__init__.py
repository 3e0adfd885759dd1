"""Optimiser steps with checkpoints: what every diffusion trainer shares."""

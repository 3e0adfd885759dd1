"""Trains a small pipeline from nothing: its autoencoder, then its UNet and text encoder."""

"""Cards: what a person reads first about a dataset or a model, and the picture in it."""

"""Dataset builders: sources of photographs with scribbles, and subsets of finished shards."""

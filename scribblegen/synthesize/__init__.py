"""What `accelerate launch -m scribblegen.synthesize` starts: `scribblegen build`."""

"""What attention maps may be divided by. No torch: the command line reads it."""

NORMALISERS = ("max", "min_max", "share")

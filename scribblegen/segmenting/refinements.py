"""How a pseudo label may be refined. No torch: the command line reads it."""

REFINEMENTS = ("none", "two_label", "all_labels")

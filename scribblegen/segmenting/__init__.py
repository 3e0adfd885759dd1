"""Maps and strokes -> dense labels, and how far they can be trusted."""

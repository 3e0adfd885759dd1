"""A run: its folder, units of work, files and manifest, and the loop that makes them."""

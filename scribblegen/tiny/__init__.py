"""The small pipeline that is there without any download."""

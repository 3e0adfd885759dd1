"""Damaged and hostile files of every kind that is read: a value, a rejection or a named error."""

"""Class lists as other tools write them, read for what they are."""

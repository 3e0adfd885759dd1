"""One file a command: parse, open, call, print."""

"""The Hugging Face Hub: one commit for all files, retried by cause."""

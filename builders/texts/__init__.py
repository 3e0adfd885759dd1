"""Writers of descriptions: by templates, as the scenes have them, and by language models."""

"""Model families: networks that predict noise, each behind one `Family`."""

"""Models that can be loaded: their names, sources, weights, tokenizers, preprocessing and layer axes."""

"""The demonstration: two pretrained models from the Python package index, extracted and scored on the built-in set."""

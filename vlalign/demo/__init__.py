"""The demonstration: where its two models come from without a Hub."""

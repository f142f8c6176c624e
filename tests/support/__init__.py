"""Test support: a stand-in for the Hub, tiny models and a tiny data set. Nothing here needs a network."""

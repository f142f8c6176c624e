"""Definitions of the alignment metrics, one file each; a new one is also a line of :mod:`vlalign.metrics.registry`."""

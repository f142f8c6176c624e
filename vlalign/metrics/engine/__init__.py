"""The engine of the metrics: nearest neighbours, matches of neighbour lists, kernels, moments, ties, threads."""

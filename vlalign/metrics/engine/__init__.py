"""What metrics share: nearest neighbours, matches of neighbour lists, kernels, moments, ties, work on many layers."""

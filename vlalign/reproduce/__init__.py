"""Results of published code for the same features, compared with ours, and the reason for each difference."""

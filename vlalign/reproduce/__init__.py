"""What published code would give for the same features, beside ours, with the reason for each difference."""

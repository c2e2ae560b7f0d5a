"""What runs of `lgad-fit` have left, read and compared. Knows nothing of torch."""

"""What made the committed data."""

"""What to run for a traffic, and how many of it."""

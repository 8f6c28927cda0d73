"""The pages of what is asked about money."""

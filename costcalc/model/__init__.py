"""A model's shape, and the bytes and FLOPs of each of its layers."""

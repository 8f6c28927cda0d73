"""Measurements: read, predict, score and fit; the engine's numbers against the world's."""

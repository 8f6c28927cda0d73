"""Requests replayed through an engine's scheduler: traffic, step times, cache blocks, schedulers, outcome."""

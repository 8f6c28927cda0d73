"""Measured kernels and collectives: their rows as forms of the engine, and the fit of their constants."""

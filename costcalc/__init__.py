"""costcalc: what a token costs on this hardware, how many users fit, and why."""

__version__ = "0.1.0"

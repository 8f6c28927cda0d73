"""Measured serving: its rows as scenarios, their errors, and the fit of the constants of serving."""

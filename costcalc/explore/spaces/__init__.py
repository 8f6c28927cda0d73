"""Whole spaces of deployments: cells of a sweep, and the frontier of all."""

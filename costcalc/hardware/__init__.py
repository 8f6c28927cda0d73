"""Specifications: validated, frozen, without I/O."""

"""Measure the GPU of this machine: copies, matrix products and decode attention. Needs the extra `gpu`."""

from costcalc.microbench.bench import Copy, Decode, Device, Measured, Product, cases, measure

__all__ = ["Copy", "Decode", "Device", "Measured", "Product", "cases", "measure"]

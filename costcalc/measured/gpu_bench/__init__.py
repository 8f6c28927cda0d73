"""Measure the GPU of this machine: copies, matrix products and decode attention. Needs the extra `gpu`."""

from costcalc.measured.gpu_bench.bench import Device, Measured, measure
from costcalc.measured.gpu_bench.cases import Copy, Decode, Product, cases

__all__ = ["Copy", "Decode", "Device", "Measured", "Product", "cases", "measure"]

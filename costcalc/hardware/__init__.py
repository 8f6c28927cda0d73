"""Specifications of machines: data sheets, prices, and the constants that measurements fitted."""

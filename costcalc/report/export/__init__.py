"""An answer in a file: JSON, CSV, LaTeX, a workbook, and the schemas that describe them."""

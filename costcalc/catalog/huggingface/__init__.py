"""Hugging Face configurations: `config.json` in, a model of the catalog out.

`import_model` reads a file, a folder or a hub id; each family of models has one reader.
"""

from costcalc.catalog.huggingface.importer import Imported, import_model, known_architectures

__all__ = ["Imported", "import_model", "known_architectures"]

"""Hugging Face configurations: `config.json` in, a model of the catalog out; each family has a row in families.yaml."""

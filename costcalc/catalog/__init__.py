"""The catalog: models and accelerators found by name, alias or path, and read from YAML into specs."""

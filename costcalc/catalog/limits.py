"""How much a file may hold: whatever it is, it is answered within a second and a few hundred megabytes.

YAML has no aliases, anchors or merge keys here, so that what is read is never larger than what was written.
"""

YAML_BYTES = 1_000_000
YAML_DEPTH = 32
"""Levels of mappings and lists inside each other."""
YAML_VALUES = 20_000
"""Values of all kinds: the largest file that ships holds a twentieth of them."""
NUMBER_CHARACTERS = 40
EXTENDED_FILES = 8
"""Files that `extends` may lead through."""
HEAD_BYTES = 2048
"""What is read of a file to find its names."""
CONFIG_BYTES = 8_000_000
"""A config.json of Hugging Face."""
MISTAKES = 100
"""Mistakes of one file that are told one by one; the others are counted."""

"""Launch lines of serving engines, written and read."""

"""The faces of a result: tables, exports, explanations, charts. None computes."""

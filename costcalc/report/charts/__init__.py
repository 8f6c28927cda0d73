"""Charts as files. matplotlib is imported here alone, and only when a chart is asked for."""

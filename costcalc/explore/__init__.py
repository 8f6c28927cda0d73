"""Questions asked of the engine: estimate, compare, sweep. Many calls of the engine, never new physics."""

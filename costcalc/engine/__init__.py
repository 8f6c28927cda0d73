"""The engine: pure numpy, every numeric argument broadcasts. work -> timing -> step -> memory -> cost."""

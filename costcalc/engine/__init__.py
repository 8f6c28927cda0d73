"""The engine: pure numpy, every numeric argument broadcasts. ops -> latency -> step -> queueing, memory -> cost."""

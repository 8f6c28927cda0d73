"""How long replays take, and what they hold: python benchmarks/simulate.py [TRACE]

CPU time in this process and its largest memory: 100,000 Poisson requests on one replica, and the requests of a trace,
such as Mooncake's conversations, on eight.
"""

from __future__ import annotations

import resource
import sys
import time

import costcalc

MOST_SECONDS, MOST_TRACED, MOST_BYTES = 5.0, 2.0, 200e6


def main() -> int:
    """Print times and memory; return 1 when one is above its limit."""
    model, gpu = costcalc.load_model("llama-3.1-8b"), costcalc.load_gpu("h100")
    drawn = {"input_tokens": 1000, "output_tokens": 250, "output_lengths": "exponential", "demand": "10rps"}
    limits = [("100,000 Poisson requests", MOST_SECONDS, {**drawn, "requests": 100_000})]
    if sys.argv[1:]:
        limits.append(("the trace on 8 replicas", MOST_TRACED, {"trace": sys.argv[1], "replicas": 8}))
    slow = False
    for name, most, asked in limits:
        before = time.process_time()
        found = costcalc.simulate(model, gpu, gpus=1, **asked)
        took = time.process_time() - before
        slow |= took > most
        print(f"{name:26s} {took:5.2f} s, at most {most:g}: {'TOO SLOW' if took > most else 'ok'}", end="")
        print(f";  {took / found.requests * 1e6:.0f} us a request")
        if asked is limits[0][2]:
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            slow |= held > MOST_BYTES
            told = "TOO MUCH" if held > MOST_BYTES else "ok"
            print(f"{'':26s} {held / 1e6:.0f} MB, at most {MOST_BYTES / 1e6:g}: {told}")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())

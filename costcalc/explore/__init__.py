"""Questions: which deployment, at which batch; estimates, sweeps, comparisons, break-evens. No physics of its own."""

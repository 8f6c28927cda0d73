"""The time of every op: forms of kernels and collectives, with the shares of a peak that this GPU reaches."""

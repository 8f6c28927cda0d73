"""Questions of money: self-host or buy, what moves the cost, a training run."""

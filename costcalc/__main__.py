"""`python -m costcalc`: the same as the costcalc command."""

import sys

from costcalc.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m lessons`: list, run, check, hint, solution, reset, watch, build."""

import sys

from lessons.engine.terminal import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m nnlib.cli`, where the command itself is not on the path."""

import sys

from nnlib.cli import main

sys.exit(main())

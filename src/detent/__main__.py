"""`python -m detent`: the same as the `detent` command."""

import sys

from detent.cli import main

sys.exit(main())

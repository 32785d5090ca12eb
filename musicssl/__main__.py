"""`python -m musicssl` is the `musicssl` command."""

import sys

from musicssl.cli import main

sys.exit(main())

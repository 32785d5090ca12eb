"""`python -m musicssl` is the `musicssl` command."""

import sys

from musicssl.commands.main import main

sys.exit(main())

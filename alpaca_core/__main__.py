"""``python -m alpaca_core`` is ``alpacakit``."""

import sys

from alpaca_core.cli.main import main

sys.exit(main())

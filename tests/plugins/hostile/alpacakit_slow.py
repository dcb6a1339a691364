"""Takes three seconds to import, or as many as SLOW says; then it works."""

import os
import time

from alpaca_core import FilterSpec, hookimpl

time.sleep(float(os.environ.get("SLOW", "3")))


@hookimpl
def alpaca_filters():
    return [FilterSpec(name="slow", target="alpacakit_slow:Slow", summary="Keeps all, after a while.")]

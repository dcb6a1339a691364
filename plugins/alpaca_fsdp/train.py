"""The worker: ``python -m alpaca_fsdp.train --job FILE``, alone or under torchrun."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alpaca_core import AlpacaError, Stopped
from alpaca_fsdp import job as jobs
from alpaca_fsdp import world as worlds


def main(arguments: list[str] | None = None) -> int:
    """Run the job to its end. Returns 0 when it is done, 4 when it has stopped as asked, 1 when it failed."""
    parser = argparse.ArgumentParser(prog="alpaca_fsdp.train", description=__doc__)
    parser.add_argument("--job", type=Path, required=True, metavar="FILE", help="written by the launcher")
    job = jobs.load(parser.parse_args(arguments).job)
    launcher = worlds.Launcher()
    try:
        from alpaca_fsdp import run

        run.run(job, launcher)
    except Stopped as stopped:
        return stopped.exit_code
    except AlpacaError as error:
        worlds.emit_error(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

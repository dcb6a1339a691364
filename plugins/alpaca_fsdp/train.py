"""The worker: ``python -m alpaca_fsdp.train``, alone or under torchrun."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from alpaca_core import AlpacaError, Stopped
from alpaca_fsdp import flags, front, task

_HELP = """\
Train a student, alone or in each process that torchrun starts.

  python -m alpaca_fsdp.train --job JOB
      JOB is what `alpacakit train DATA --out DIR --dry-run` prints.

  torchrun --nproc_per_node=4 --master_port=PORT -m alpaca_fsdp.train FLAGS
      FLAGS are those of the published command of Stanford Alpaca, as --flag value or --flag=value:
"""


def main(words: list[str] | None = None) -> int:
    """Run the job to its end, for a launcher or for people. Returns 0 when it is done, 4 when it has stopped as asked,
    1 when it failed; without a launcher see ``front``."""
    words = sys.argv[1:] if words is None else words
    if {"-h", "--help"} & {*words}:
        print(_HELP + "\n".join(flags.described()))
        return 0
    if not any(word.partition("=")[0] == "--job" for word in words):
        return front.main(flags.read, words)
    job = words[1] if words[0] == "--job" and len(words) == 2 else words[0].partition("=")[2]
    if "ALPACAKIT_LAUNCHED" in os.environ:
        return _launched(Path(job))
    return front.main(task.from_word, job)


def _launched(file: Path) -> int:
    """For a launcher, which wrote ``file`` and reads events from standard output."""
    from alpaca_fsdp import job as jobs
    from alpaca_fsdp import run, world

    job = jobs.load(file)
    launcher = world.Launcher()
    try:
        run.run(job, launcher)
    except Stopped as stopped:
        return stopped.exit_code
    except AlpacaError as error:
        world.emit_error(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A training of two processes, killed over and over: does it lose anything?

    python tests/benchmarks/kills.py [--kills 20] [--steps 300] [--seed 0]

An undisturbed training (FSDP2 over gloo on the CPU, a checkpoint every five steps) gives the weights to reach. Then the
same training is started again and again, and its launcher killed (SIGKILL) at a random moment: a quarter of the times
while it starts, else while it trains, writes checkpoints or saves the model. After each kill no process may be left and
nothing may be written any more. The last start ends undisturbed, and its weights must be those of the undisturbed
training, bit for bit. At the end a training changes its number of processes: 2 -> 1 -> 2, and up to four and back.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent.parent))

import training

LAUNCH = """
import sys, training
from pathlib import Path
options = dict(max_steps=int(sys.argv[3]), save_steps=5, batch_size=6)
def watch(event):
    print(event.kind, event.step, event.loss, event.message, flush=True)
training.train(training.job(Path(sys.argv[1]), Path(sys.argv[2]), fsdp=True, **options), watch)
"""
SLACK = 30.0  # seconds until every process has to be gone


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = training.write(Path(folder))
        sound = killed(Path(folder), data, asked.kills, asked.steps, Random(asked.seed))
        for processes in ((2, 1, 2), (1, 2, 4, 2, 1)):
            sound &= moved(Path(folder), data, processes)
    return 0 if sound else 1


def killed(folder: Path, data: Path, kills: int, steps: int, rng: Random) -> bool:
    launcher = training.in_background(LAUNCH, data, folder / "undisturbed", steps)
    begun = time.monotonic()
    startup = next(time.monotonic() - begun for line in launcher.stdout if line.startswith("step"))
    launcher.communicate()
    whole = time.monotonic() - begun
    wanted = digest(folder / "undisturbed")
    print(f"undisturbed: {steps} steps in {whole:.0f} s, of which {startup:.0f} s to the first step\n")
    span = 1.5 * (whole - startup) / kills  # so that the last kills find the end of the training
    out, sound = folder / "killed", True
    print("kill  at                          went on after  processes left  gone in  written after  whole checkpoints")
    for number in range(1, kills + 1):
        launcher = training.in_background(LAUNCH, data, out, steps)
        at, after = None, "-"
        if rng.random() < 0.25:
            wait = rng.uniform(0, startup)
            time.sleep(wait)
            at = f"{wait:.1f} s after its start"
        else:
            wait = rng.uniform(0, span)
            for line in launcher.stdout:
                after = found[1] if (found := re.search(r"going on after step (\d+)", line)) else after
                if line.startswith("step"):
                    time.sleep(wait)
                    at = f"{wait:.1f} s after a first step"
                    break
        launcher.kill()
        rest = launcher.communicate()[0]
        if at is None or "saved" in rest:
            at = "(it had ended)" if at is None else at + ", at the end"
        left, gone = until_gone(out)
        before = snapshot(out)
        time.sleep(1)
        late = [name for name in snapshot(out) if snapshot(out)[name] != before.get(name)]
        there = sorted(path.name[5:] for path in out.glob("checkpoints/step-*/facts.json") for path in [path.parent])
        sound &= not left and not late
        print(
            f"{number:4}  {at:<26}  {after:>13}  {len(left):>14}  {gone:5.1f} s  {len(late):>13}  {' '.join(there)}",
            flush=True,
        )
        if launcher.returncode == 0:
            print("      it had ended before the kill: ask for more --steps")
    launcher = training.in_background(LAUNCH, data, out, steps)
    said, _ = launcher.communicate()
    equal = launcher.returncode == 0 and digest(out) == wanted
    print(f"\nthe last start: {'ended' if launcher.returncode == 0 else said[-2000:]}")
    print(f"weights: {'bit-identical to' if equal else 'NOT those of'} the undisturbed training")
    return sound and equal


def until_gone(out: Path) -> tuple[list[int], float]:
    """Processes of the training that are left after a while, and how long it took the others to end."""
    begun = time.monotonic()
    while left := training.processes_naming(str(out / "checkpoints")):
        if time.monotonic() - begun > SLACK:
            break
        time.sleep(0.05)
    return left, time.monotonic() - begun


def snapshot(out: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file()}


def digest(out: Path) -> str:
    return hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()


def moved(folder: Path, data: Path, processes: tuple[int, ...]) -> bool:
    """One training in several numbers of processes, stopped by SIGTERM after every fourth step, against two all the
    way."""
    from alpaca_core import Stopped

    name = " -> ".join(map(str, processes))
    options = {"max_steps": 4 * len(processes), "batch_size": 6}
    _, events = training.train(training.job(data, folder / f"two {name}", fsdp=True, **options))
    wanted, found = training.losses(events), []
    for part, number in enumerate(processes, 1):
        stop_at = 4 * part if part < len(processes) else None

        def watch(event, stop_at=stop_at):
            if event.kind == "step":
                found.append(event.loss)
                if event.step == stop_at:
                    os.kill(os.getpid(), signal.SIGTERM)

        try:
            job = training.job(data, folder / name, fsdp=number > 1, **options)
            if number > 1:
                job = replace(job, options=replace(job.options, processes=number))
            training.train(job, watch)
        except Stopped:
            pass
    worst = max(abs(one - other) for one, other in zip(wanted, found, strict=True))
    print(f"\n{name} processes, {len(found)} steps: losses differ by at most {worst:.1e} from those of 2", flush=True)
    return worst <= 1e-6


if __name__ == "__main__":
    sys.exit(main())

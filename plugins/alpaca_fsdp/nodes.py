"""Several machines: torchrun's rendezvous, and Slurm's script that starts it on each of them.

Every node runs the same torchrun. They find one another at an address (torchrun's rendezvous, backend c10d), and where
a process is lost all start again, from the newest checkpoint; so the output folder must be shared by all nodes.
"""

from __future__ import annotations

import shlex

from alpaca_core import ConfigError, Plan
from alpaca_fsdp.options import FsdpOptions

PORT = 29500  # torchrun's own default
RESTARTS = 3  # of all processes, after the loss of one
# By default torchrun keeps the store in which processes find one another, and those that start again meet the addresses
# of the dead (torch 2.13, DynamicRendezvousHandler.next_rendezvous).
ENVIRONMENT = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
HEAD = "ALPACAKIT_HEAD"  # in Slurm's script: the variable with the first node's name


def rendezvous(options: FsdpOptions) -> tuple[str, ...]:
    """torchrun's words for where the processes of this training meet. Raises ConfigError when nobody said where."""
    if options.nodes == 1:
        return ("--standalone",)
    if not options.rendezvous:
        raise ConfigError(
            f"trainer.nodes is {options.nodes}, and where they meet is not said.",
            hint=f"Give the address of one of them: --set trainer.rendezvous=HOST:{PORT} - or use --launcher slurm.",
        )
    return (
        f"--nnodes={options.nodes}",
        "--rdzv_backend=c10d",
        "--rdzv_id=alpacakit",
        f"--rdzv_endpoint={options.rendezvous}",
        f"--max_restarts={RESTARTS}",
    )


def slurm(plan: Plan, options: FsdpOptions, processes: int) -> str:
    """The script for ``sbatch`` that runs ``plan`` on every node; they meet at the first.

    Five minutes before the time limit Slurm sends SIGTERM, and training ends with a checkpoint; the same script goes
    on from it.
    """
    gpus = [] if options.device == "cpu" else [f"#SBATCH --gpus-per-node={processes}"]
    lines = [
        "#!/bin/bash",
        "#SBATCH --job-name=alpacakit",
        f"#SBATCH --nodes={options.nodes}",
        "#SBATCH --ntasks-per-node=1",
        *gpus,
        "#SBATCH --signal=TERM@300",
        "",
        f'{HEAD}=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        *(f"export {name}={shlex.quote(value)}" for name, value in plan.env.items()),
        "srun --kill-on-bad-exit=1 " + shlex.join(plan.argv).replace(HEAD, f'"${HEAD}"', 1),
    ]
    return "\n".join(lines) + "\n"

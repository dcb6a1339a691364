"""Several nodes: a real training over a link between two network namespaces; the lines and scripts that start one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import training
from alpaca_fsdp.nodes import ENVIRONMENT
from alpaca_fsdp.options import FsdpOptions
from alpaca_fsdp.trainer import FsdpTrainer

from alpaca_core import ConfigError
from alpaca_core.cli.main import main

ADDRESS = {"a": "10.213.7.1", "b": "10.213.7.2"}
PORT = 29533


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def nodes():
    """Two network namespaces, "a" and "b", joined by a cable. Name by node."""
    name = {node: f"alpaca-{os.getpid()}-{node}" for node in ADDRESS}
    link = {node: f"al{os.getpid() % 10**8}{node}" for node in ADDRESS}
    try:
        ip("netns", "add", name["a"])
        ip("netns", "add", name["b"])
        ip("link", "add", link["a"], "netns", name["a"], "type", "veth", "peer", link["b"], "netns", name["b"])
        for node, address in ADDRESS.items():
            ip("-n", name[node], "addr", "add", f"{address}/24", "dev", link[node])
            for device in ("lo", link[node]):
                ip("-n", name[node], "link", "set", device, "up")
        yield {node: (name[node], link[node]) for node in ADDRESS}
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"no network namespaces can be made here: {getattr(exc, 'stderr', None) or exc}")
    finally:
        for made in name.values():
            subprocess.run(["ip", "netns", "del", made], capture_output=True)


def torchrun(nodes, node: str, *words: str) -> subprocess.Popen:
    space, device = nodes[node]
    rendezvous = ("--nnodes=2", "--rdzv_backend=c10d", "--rdzv_id=test", f"--rdzv_endpoint={ADDRESS['a']}:{PORT}")
    return subprocess.Popen(
        ["ip", "netns", "exec", space, sys.executable, "-m", "torch.distributed.run", *rendezvous]
        + [f"--rdzv_conf=is_host={int(node == 'a')}", f"--local_addr={ADDRESS[node]}", "--max_restarts=2"]
        + ["--nproc_per_node=1", "--monitor_interval=0.2", "-m", "alpaca_fsdp.train", *words],
        env={
            **os.environ,
            "GLOO_SOCKET_IFNAME": device,
            "TP_SOCKET_IFNAME": device,
            "OMP_NUM_THREADS": "1",
            **ENVIRONMENT,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_two_nodes_train_together_and_go_on_after_the_loss_of_a_process(nodes, tmp_path):
    """The worker on node b is killed once there is a checkpoint; torchrun starts both again, and they go on from it."""
    data, out = training.write(tmp_path), tmp_path / "out"
    options = {"device": "cpu", "batch_size": 6, "max_steps": 20, "save_steps": 5}
    job = {"data": str(data), "out": str(out), "student": "new:tiny", "template": training.TEMPLATE, "seed": 3}
    words = ("--job", json.dumps(job | {"options": options}))
    there = {node: torchrun(nodes, node, *words) for node in ("a", "b")}
    try:
        deadline = time.monotonic() + 120
        while not list(out.glob("checkpoints/step-00001?")) and time.monotonic() < deadline:
            time.sleep(0.05)
        (worker,) = children(there["b"].pid)
        os.kill(worker, signal.SIGKILL)
        said = {node: process.communicate(timeout=120)[0] for node, process in there.items()}
    finally:
        for process in there.values():
            process.kill()
    assert [process.returncode for process in there.values()] == [0, 0], said
    both = said["a"] + said["b"]
    assert both.count("sharded: 4 FSDPModule x 2 · ") == 2  # before and after the loss
    assert "going on after step" in both
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 21))
    assert (out / "model" / "config.json").exists()


def children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in text.split()]


def plan(tmp_path, **more):
    job = training.job(tmp_path / "data.json", tmp_path / "out", fsdp=True, **more)
    return FsdpTrainer(job.options), job


def test_the_plan_of_several_nodes_is_the_line_for_each_of_them(tmp_path):
    trainer, job = plan(tmp_path, nodes=3, rendezvous="head:1234")
    words = trainer.plan(job).argv
    assert {"--nnodes=3", "--rdzv_endpoint=head:1234", "--rdzv_backend=c10d", "--nproc_per_node=2"} <= {*words}
    assert "--standalone" not in words
    assert ENVIRONMENT.items() <= trainer.plan(job).env.items()


def test_where_nodes_meet_must_be_said(tmp_path):
    trainer, job = plan(tmp_path, nodes=2)
    with pytest.raises(ConfigError, match="where they meet is not said") as error:
        trainer.plan(job)
    assert "trainer.rendezvous=HOST" in error.value.hint
    with pytest.raises(ValueError, match="HOST:PORT"):
        FsdpOptions(rendezvous="head")


def test_one_command_does_not_start_several_nodes_by_itself(tmp_path):
    trainer, job = plan(tmp_path, nodes=2, rendezvous="head:1234")
    with pytest.raises(ConfigError, match="one machine only") as error:
        trainer.check(job)
    assert "--dry-run" in error.value.hint and "--launcher slurm" in error.value.hint


def command(data: Path, out: Path, *more: str) -> list[str]:
    chosen = ["--trainer", "fsdp", "--student", "new:tiny", "--set", "trainer.nodes=2"]
    return ["train", str(data), "--out", str(out), *chosen, "--launcher", "slurm", *more]


def test_slurms_script_starts_torchrun_on_every_node_and_meets_at_the_first(tmp_path, capsys):
    """The script's shell is real: a stand-in for srun shows the words that it is given."""
    data = training.write(tmp_path)
    assert main(command(data, tmp_path / "out", "--set", "trainer.processes=4", "--dry-run")) == 0
    script = capsys.readouterr().out
    assert "#SBATCH --nodes=2\n" in script and "#SBATCH --gpus-per-node=4\n" in script
    assert not (tmp_path / "out").exists()
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, does in (("scontrol", "printf 'first\\nsecond\\n'"), ("srun", 'printf "%s\\n" "$@"')):
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    there = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "x"}
    words = subprocess.run(["bash"], input=script, env=there, capture_output=True, text=True).stdout.splitlines()
    assert "--rdzv_endpoint=first:29500" in words and "--nproc_per_node=4" in words and "--nnodes=2" in words
    assert json.loads(words[words.index("--job") + 1])["student"] == "new:tiny"


def test_without_slurm_here_nothing_is_handed_over(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    data = training.write(tmp_path)
    assert main(command(data, tmp_path / "out", "--set", "trainer.processes=4")) == 3
    assert "no sbatch here" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_slurm_is_told_how_many_gpus_a_node_has(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    data = training.write(tmp_path)
    assert main(command(data, tmp_path / "out", "--dry-run")) == 2
    assert "trainer.processes=8" in capsys.readouterr().err

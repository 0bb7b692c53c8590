"""A real SLURM of two nodes on this machine, made of what `apt-get install slurm-wlm munge` brings."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

NODES = ("n1", "n2")
# A job that was requeued waits for as long as its credential lives, plus a second.
# A job's processes meet at a port that follows from its number: those of two clusters here must differ.
CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
FirstJobId={first}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 State=UNKNOWN\n"


def missing() -> str | None:
    """Why there can be no cluster here."""
    programs = [name for name in ("munged", "slurmctld", "slurmd", "srun", "sbatch") if not _path(name)]
    if programs:
        return f"{', '.join(programs)} not installed (apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "SLURM's daemons start as root only"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """What the environment needs for its commands, while it runs."""
    (folder / "state").mkdir(parents=True)
    folder.chmod(0o755)
    host = socket.gethostname().split(".")[0]
    controller, *ports = _free_ports(1 + len(NODES))
    nodes = "".join(NODE.format(name=n, host=host, port=p) for n, p in zip(NODES, ports, strict=True))
    conf = folder / "slurm.conf"
    first = 1 + 1000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    conf.write_text(nodes + CONF.format(host=host, controller=controller, folder=folder, first=first))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    told = {**os.environ, "SLURM_CONF": str(conf)}
    munge = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("socket", "pid-file", "log-file")]
    commands = [
        ["munged", "--force", f"--key-file={key}", f"--seed-file={folder}/munge.seed", *munge],
        ["slurmctld"],
        *(["slurmd", "-N", name] for name in NODES),
    ]
    with ExitStack() as stack:
        for command in commands:
            stack.callback(_stop, folder)
            subprocess.run([_path(command[0]), *command[1:]], env=told, check=True, timeout=60)
        _wait_for_nodes(told, folder)
        yield {"SLURM_CONF": str(conf)}
        subprocess.run(["scancel", "--user=root"], env=told, timeout=60)


def _wait_for_nodes(told: dict[str, str], folder: Path) -> None:
    for _ in range(60):
        idle = subprocess.run(
            ["sinfo", "-h", "-t", "idle", "-o", "%D"], env=told, capture_output=True, text=True, timeout=60
        )
        if idle.stdout.strip() == str(len(NODES)):
            return
        time.sleep(0.5)
    raise RuntimeError(f"the nodes did not come up: {(folder / 'slurmctld.log').read_text()[-2000:]}")


def _stop(folder: Path) -> None:
    for pid in folder.glob("*.pid"):
        with suppress(OSError, ValueError):
            os.kill(int(pid.read_text()), signal.SIGTERM)


def _path(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]

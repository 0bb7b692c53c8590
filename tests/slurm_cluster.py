"""A real SLURM cluster of two nodes on this machine; it needs `apt-get install slurm-wlm munge`."""

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
# On a machine that is busy with other tests an answer takes longer than the ten seconds that are waited for.
# A requeued job waits until its credential expires, and a second more: cred_expire is short.
# The port at which a job's processes meet is 15000 and its number: FirstJobId differs between test processes,
# and is small, because some systems hand out ports from 16000 on to whoever asks for any.
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
MessageTimeout=60
TCPTimeout=20
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 State=UNKNOWN\n"


def missing() -> str | None:
    """Why no cluster can be started here; None if one can."""
    programs = [name for name in ("munged", "slurmctld", "slurmd", "srun", "sbatch") if not _path(name)]
    if programs:
        return f"{', '.join(programs)} not installed (apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "SLURM's daemons start as root only"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Run a cluster; yields the environment variables that its commands need."""
    (folder / "state").mkdir(parents=True)
    folder.chmod(0o755)
    host = socket.gethostname().split(".")[0]
    controller, *ports = _free_ports(1 + len(NODES))
    nodes = "".join(NODE.format(name=n, host=host, port=p) for n, p in zip(NODES, ports, strict=True))
    conf = folder / "slurm.conf"
    first = 1 + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    conf.write_text(nodes + CONF.format(host=host, controller=controller, folder=folder, first=first))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    munge = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("socket", "pid-file", "log-file")]
    commands = [
        ["munged", "--force", f"--key-file={key}", f"--seed-file={folder}/munge.seed", *munge],
        ["slurmctld"],
        *(["slurmd", "-N", name] for name in NODES),
    ]
    with ExitStack() as stack:
        stack.callback(_stop, folder)
        for command in commands:
            subprocess.run([_path(command[0]), *command[1:]], env=environment, check=True, timeout=60)
        if not _wait_until_idle(environment):
            raise RuntimeError(f"the nodes did not come up: {(folder / 'slurmctld.log').read_text()[-2000:]}")
        yield {"SLURM_CONF": str(conf)}
        subprocess.run(["scancel", "--user=root"], env=environment, timeout=60)
        # A node's daemon that is stopped while a job is still ending would wait for ever.
        _wait_until_idle(environment)


def _wait_until_idle(environment: dict[str, str]) -> bool:
    """Wait for at most half a minute until all nodes are idle; return whether they are."""
    for _ in range(60):
        # `sinfo --states=idle` would also count nodes on which a job is still ending.
        states = subprocess.run(
            ["sinfo", "-h", "-o", "%T %D"], env=environment, capture_output=True, text=True, timeout=60
        )
        if states.stdout.strip() == f"idle {len(NODES)}":
            return True
        time.sleep(0.5)
    return False


def _stop(folder: Path) -> None:
    pids = [int(pid_text) for path in folder.glob("*.pid") if (pid_text := path.read_text().strip())]
    for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 0)):
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)


def _path(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for socket_ in sockets:
            socket_.bind(("127.0.0.1", 0))
        return [socket_.getsockname()[1] for socket_ in sockets]

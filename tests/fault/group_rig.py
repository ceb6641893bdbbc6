"""A router and groups of ranks, each process on a host of its own."""

import os
import pathlib
import tempfile

from hosts import Hosts
from process import Process, wait_until
from reflection_client import Client
from scrape import scrape, total

ROUTER = os.path.abspath(os.environ["BLOCKSERVE_ROUTER"])
WORKER = os.path.abspath(os.environ["BLOCKSERVE_WORKER"])
MODEL = os.path.abspath(os.path.join(os.environ["BLOCKSERVE_MODELS"],
                                     "demo-block"))
PORT = 50052
GROUP_PORT = 50053
METRICS_PORT = 9091
ROUTER_PORT = 50051
SECRET = b"the secret of the test's groups"
STEP_TIMEOUT = 2.0  # seconds
LOG_LINES = 60


def rank_flags(host, name, rank, world_size, leader, secret_file):
    """The command line of one rank."""
    flags = [
        WORKER,
        f"--model={MODEL}",
        f"--worker_id={name}",
        f"--host={host.address}",
        f"--port={PORT}",
        f"--metrics_port={METRICS_PORT}",
        "--threads=1",
        "--dtype=fp32",
        "--max_context=512",
    ]
    if world_size > 1:
        flags += [
            f"--rank={rank}",
            f"--world_size={world_size}",
            f"--leader={leader.address}:{GROUP_PORT}",
            f"--group_port={GROUP_PORT}",
            "--bind_interface=eth0",
            f"--group_secret_file={secret_file}",
            f"--step_timeout={STEP_TIMEOUT}s",
        ]
    return flags


class Group:
    """The ranks that serve one model together; rank 0 leads."""

    def __init__(self, name, hosts, directory, secret_file):
        self.name = name
        self.ranks = [
            Process(
                f"{name}-rank{rank}", host,
                rank_flags(host, f"{name}-rank{rank}", rank, len(hosts),
                           hosts[0], secret_file),
                directory, METRICS_PORT,
            )
            for rank, host in enumerate(hosts)
        ]

    @property
    def leader(self):
        return self.ranks[0]

    @property
    def address(self):
        """As the router knows it."""
        return f"{self.leader.host.address}:{PORT}"

    def num_failed_requests(self):
        samples = scrape(self.leader.metrics_address)
        name = "blockserve_requests_total"
        return total(samples, name) - total(samples, name, code="OK")

    def generated_tokens(self):
        return self.leader.metric("blockserve_generation_tokens_total")

    def facts(self):
        """What does not change in a group that nothing happens to."""
        samples = scrape(self.leader.metrics_address)
        return {
            "starts": [rank.num_starts for rank in self.ranks],
            "epoch": total(samples, "blockserve_group_epoch"),
            "rebuilds": total(samples, "blockserve_group_rebuilds_total"),
        }


class Rig:
    """`num_groups` groups of `world_size` ranks behind one router: a host for
    each rank, one for the router and further ones by name. Clients are on the
    test's own host."""

    def __init__(self, num_groups, world_size, more_hosts=(), prepare=None):
        """`prepare(rig)`, if any, is called before the first process."""
        self._directory = tempfile.TemporaryDirectory()
        directory = self._directory.name
        self.secret_file = pathlib.Path(directory, "secret")
        self.secret_file.write_bytes(SECRET)
        self.secret_file.chmod(0o600)
        names = [f"g{g}r{r}" for g in range(num_groups)
                 for r in range(world_size)]
        self.hosts = Hosts([*names, "router", *more_hosts])
        if prepare is not None:
            prepare(self)
        self.groups = [
            Group(f"group{g}",
                  [self.hosts[f"g{g}r{r}"] for r in range(world_size)],
                  directory, self.secret_file)
            for g in range(num_groups)
        ]
        router_host = self.hosts["router"]
        self.router = Process(
            "router", router_host,
            [
                ROUTER,
                f"--host={router_host.address}",
                f"--port={ROUTER_PORT}",
                f"--metrics_port={METRICS_PORT}",
                f"--workers={','.join(g.address for g in self.groups)}",
                f"--stall_timeout={STEP_TIMEOUT}s",
            ],
            directory, METRICS_PORT,
        )
        self.client = None

    @property
    def processes(self):
        return [self.router, *(r for g in self.groups for r in g.ranks)]

    def wait_until_serving(self, seconds=60):
        """Waits until the router has every group; connects the client."""
        def all_in():
            try:
                return len(self.groups) == self.router.metric(
                    "blockserve_router_worker_health"
                )
            except OSError:
                return False

        wait_until(all_in, seconds, "all groups in rotation")
        if self.client is None:
            self.client = Client(f"{self.router.host.address}:{ROUTER_PORT}")

    def print_logs(self):
        for process in self.processes:
            print(f"===== {process.name}, last {LOG_LINES} lines of its log\n"
                  f"{process.log(LOG_LINES)}", flush=True)

    def close(self):
        if self.client is not None:
            self.client.__exit__()
        for process in self.processes:
            process.close()
        self.hosts.close()
        self._directory.cleanup()

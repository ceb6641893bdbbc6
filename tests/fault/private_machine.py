"""Namespaces of its own for a whole test: network, processes, mounts.

What the test makes in them (hosts, links, packet filters, processes) is seen by
nobody else, and the kernel takes it all away when the test ends, however it
ends: with its first process, every process of a PID namespace is killed, and a
network namespace without processes is gone. So nothing can be left behind.
"""

import os
import shutil
import signal
import subprocess
import sys

_INSIDE = "BLOCKSERVE_PRIVATE_MACHINE"
_NAMESPACES = ["--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child",
               "--mount-proc"]
# Without the rights of root, those of the root of a user namespace do.
_WAYS = [[], ["--user", "--map-root-user"]]
_TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2",
          "ss": "iproute2", "nft": "nftables"}
# Fails where the kernel has not got what hosts.py needs.
_PROBE = """
ip link add probe0 type bridge &&
ip link add probe1 type veth peer name probe2 &&
nft add table inet probe
"""


def enter():
    """Starts this script anew inside its own namespaces, as process 1 of them;
    there, returns None. Where that cannot be, returns why, in one line."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if os.environ.get(_INSIDE):
        # Process 1 is not ended by signals that it does not handle.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return None
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            return f"{tool} is missing (package {package})"
    reasons = []
    for way in _WAYS:
        unshare = ["unshare", *way, *_NAMESPACES]
        probe = subprocess.run([*unshare, "sh", "-c", _PROBE], text=True,
                               capture_output=True, check=False)
        if probe.returncode == 0:
            os.environ[_INSIDE] = "yes"
            sys.stdout.flush()
            os.execvp("unshare", [*unshare, sys.executable, *sys.argv])
        reasons.append(" ".join((probe.stderr or "no message").split()))
    return "no right to make network namespaces: " + "; ".join(reasons)

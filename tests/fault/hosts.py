"""Hosts on one machine: a network namespace each, joined by a bridge.

A host also has its own name and /dev/shm, so that processes on two hosts share
nothing but the network. The bridge has an address too: the test itself is a
host of the network. Needs private_machine.
"""

import contextlib
import ctypes
import os
import subprocess

CLIENT_ADDRESS = "10.77.0.254"
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_STATE_LISTEN = "0A"

# Packets of these senders never arrive. Dropped where they come in: to the
# sender it looks like a cable that is cut, not like an error.
_RULES = """
table inet fault {
  set lost_senders { type ipv4_addr; }
  chain receive {
    type filter hook input priority 0; policy accept;
    ip saddr @lost_senders drop
  }
}
"""
# The first process of a host; it ends when the test closes its input.
_HOLDER = """
hostname "$0" && mount -t tmpfs tmpfs /dev/shm && ip link set lo up || exit 1
mount -t sysfs sysfs /sys 2>/dev/null
echo ready && exec cat
"""


class Host:
    """One host. Use Hosts to make some."""

    def __init__(self, name, address):
        self.name = name
        self.address = address
        self._port = f"port-{name}"[:15]  # the kernel's limit
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--uts", "--ipc", "--mount",
             "sh", "-c", _HOLDER, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        if self._holder.stdout.readline() != b"ready\n":
            raise AssertionError(f"host {name} did not start")
        self.pid = self._holder.pid

    def plug_into(self, bridge):
        """Connects eth0 of the host by a veth pair."""
        _run("ip", "link", "add", self._port, "type", "veth",
             "peer", "name", "eth0", "netns", str(self.pid))
        _run("ip", "link", "set", self._port, "master", bridge, "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("nft", "-f", "-", input=_RULES)

    def command(self, *arguments):
        """The command line that runs `arguments` on this host. It becomes the
        program itself, so that its process id is the program's."""
        return ["nsenter", f"--target={self.pid}", "--net", "--uts", "--ipc",
                "--mount", f"--wd={os.getcwd()}", "--", *arguments]

    def run(self, *arguments, **options):
        return _run(*self.command(*arguments), **options)

    @contextlib.contextmanager
    def network(self):
        """In it, sockets that this thread makes are the host's, for good."""
        with open("/proc/thread-self/ns/net", "rb") as home, \
             open(f"/proc/{self.pid}/ns/net", "rb") as there:
            _set_network(there)
            try:
                yield
            finally:
                _set_network(home)

    def listening(self):
        """All (address, port) that somebody listens on, by TCP."""
        found = set()
        for file, parse in (("tcp", _ipv4), ("tcp6", _ipv6)):
            with open(f"/proc/{self.pid}/net/{file}", encoding="ascii") as rows:
                for row in list(rows)[1:]:
                    local, _, state = row.split()[1:4]
                    if state == _STATE_LISTEN:
                        address, port = local.split(":")
                        found.add((parse(address), int(port, 16)))
        return found

    def close(self):
        # At once, while the kernel ends a namespace when it gets to it.
        _run("ip", "link", "delete", self._port)
        self._holder.kill()
        self._holder.wait()
        self._holder.stdin.close()
        self._holder.stdout.close()


class Hosts:
    """Hosts by name: hosts["a"]."""

    def __init__(self, names, bridge="hosts"):
        self._bridge = bridge
        self._lost = set()  # (sender, receiver)
        _run("ip", "link", "add", bridge, "type", "bridge")
        _run("ip", "address", "add", f"{CLIENT_ADDRESS}/24", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        self._hosts = {}
        for i, name in enumerate(names):
            host = self._hosts[name] = Host(name, f"10.77.0.{i + 1}")
            host.plug_into(bridge)

    def __getitem__(self, name):
        return self._hosts[name]

    def __iter__(self):
        return iter(self._hosts.values())

    def lose(self, *pairs):
        """From now on what the first host of a pair sends to the second is
        lost, of all pairs at once as far as that goes."""
        senders = {}
        for sender, receiver in pairs:
            senders.setdefault(receiver, []).append(sender.address)
        self._lost.update(pairs)
        _all_at_once(
            receiver.command("nft", "add", "element", "inet", "fault",
                             "lost_senders", f"{{ {', '.join(addresses)} }}")
            for receiver, addresses in senders.items()
        )

    def heal(self):
        """Nothing is lost from now on."""
        _all_at_once(
            receiver.command("nft", "flush", "set", "inet", "fault",
                             "lost_senders")
            for receiver in {receiver for _, receiver in self._lost}
        )
        self._lost.clear()

    def reset_connections(self, first, second):
        """Ends every TCP connection between the two, with RST to both ends.
        The kernel needs CONFIG_INET_DIAG_DESTROY, as Debian's has."""
        first.run("ss", "--kill", "--no-header", "--ipv4", "--tcp",
                  "dst", second.address)

    def close(self):
        for host in self:
            host.close()
        _run("ip", "link", "delete", self._bridge)


def _run(*arguments, **options):
    done = subprocess.run(arguments, text=True, check=False,
                          capture_output=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: {done.stderr}")
    return done.stdout


def _all_at_once(commands):
    running = [subprocess.Popen(command) for command in commands]
    for process in running:
        if process.wait() != 0:
            raise AssertionError(f"{process.args} failed")


def _set_network(file):
    if _LIBC.setns(file.fileno(), _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ipv4(hexadecimal):
    """The kernel prints addresses as words of its own byte order."""
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(hexadecimal)))


def _ipv6(hexadecimal):
    words = [hexadecimal[i:i + 8] for i in range(0, 32, 8)]
    if words[:3] == ["00000000", "00000000", "FFFF0000"]:
        return _ipv4(words[3])
    if set(hexadecimal) == {"0"}:
        return "0.0.0.0"  # :: takes IPv4 as well
    return "::1"

"""The test network itself: what is lost, what is not, and what heals."""

import socket
import subprocess
import threading
import time
import unittest

import junit
import private_machine
from hosts import Hosts

PORT = 7000


class HostsTest(unittest.TestCase):
    def setUp(self):
        self.hosts = Hosts(["a", "b", "c"])
        self.addCleanup(self.hosts.close)
        self.a, self.b, self.c = self.hosts
        for host in self.hosts:
            self.serve(host)

    def serve(self, host):
        """Echoes on PORT of `host`."""
        with host.network():
            listener = socket.create_server((host.address, PORT))
        self.addCleanup(listener.close)

        def echo(connection):
            with connection:
                try:
                    while data := connection.recv(100):
                        connection.sendall(data)
                except ConnectionError:
                    pass

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(
                    target=echo, args=(connection,), daemon=True
                ).start()

        threading.Thread(target=accept, daemon=True).start()

    def connect(self, sender, receiver, seconds=2):
        with sender.network():
            connection = socket.create_connection(
                (receiver.address, PORT), timeout=seconds
            )
        self.addCleanup(connection.close)
        return connection

    def assert_echoes(self, connection, data=b"x"):
        connection.sendall(data)
        self.assertEqual(connection.recv(100), data)

    def test_all_reach_all(self):
        for sender in self.hosts:
            for receiver in self.hosts:
                self.assert_echoes(self.connect(sender, receiver))
        # The test itself is a host too.
        self.assert_echoes(
            socket.create_connection((self.a.address, PORT), timeout=2)
        )

    def test_address_of_the_peer_is_seen(self):
        connection = self.connect(self.a, self.b)
        self.assertEqual(connection.getsockname()[0], self.a.address)

    def test_two_way_loss_cuts_only_that_pair(self):
        established = self.connect(self.a, self.b)
        self.assert_echoes(established)
        self.hosts.lose((self.a, self.b), (self.b, self.a))
        for sender, receiver in ((self.a, self.b), (self.b, self.a)):
            with self.assertRaises(TimeoutError):
                self.connect(sender, receiver, seconds=0.3)
        established.settimeout(0.3)
        established.sendall(b"lost")
        with self.assertRaises(TimeoutError):
            established.recv(100)
        self.assert_echoes(self.connect(self.a, self.c))
        self.assert_echoes(self.connect(self.c, self.b))

        # TCP sends again what was lost.
        self.hosts.heal()
        established.settimeout(5)
        self.assertEqual(established.recv(100), b"lost")
        self.assert_echoes(self.connect(self.b, self.a))

    def test_one_way_loss_lets_the_other_way_through(self):
        connections = []
        with self.b.network():
            mail = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            mail.bind((self.b.address, PORT))
        with self.a.network():
            back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            back.bind((self.a.address, PORT))
        connections += [mail, back]
        for connection in connections:
            self.addCleanup(connection.close)
            connection.settimeout(0.3)
        self.hosts.lose((self.a, self.b))
        back.sendto(b"lost", (self.b.address, PORT))
        with self.assertRaises(TimeoutError):
            mail.recv(100)
        mail.sendto(b"heard", (self.a.address, PORT))
        self.assertEqual(back.recv(100), b"heard")
        # A connection needs both ways.
        for sender, receiver in ((self.a, self.b), (self.b, self.a)):
            with self.assertRaises(TimeoutError):
                self.connect(sender, receiver, seconds=0.3)

    def test_reset_ends_both_ends_of_a_pair_only(self):
        hurt = self.connect(self.a, self.b)
        spared = self.connect(self.a, self.c)
        self.assert_echoes(hurt)
        self.hosts.reset_connections(self.a, self.b)
        with self.assertRaises(ConnectionError):
            hurt.sendall(b"x")
            hurt.recv(100)
        self.assert_echoes(spared)
        self.assert_echoes(self.connect(self.a, self.b))

    def test_listening_ports_are_found(self):
        with self.a.network():
            loopback = socket.create_server(("127.0.0.1", 0))
            both = socket.create_server(
                ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True
            )
        self.addCleanup(loopback.close)
        self.addCleanup(both.close)
        self.assertEqual(
            self.a.listening(),
            {
                (self.a.address, PORT),
                ("127.0.0.1", loopback.getsockname()[1]),
                ("0.0.0.0", both.getsockname()[1]),
            },
        )

    def test_hosts_share_no_memory_and_no_name(self):
        self.a.run("touch", "/dev/shm/mine")
        self.assertEqual(self.b.run("ls", "/dev/shm"), "")
        self.assertEqual(self.a.run("hostname"), "a\n")
        self.assertEqual(self.b.run("hostname"), "b\n")

    def test_program_on_a_host_is_killed_by_its_id(self):
        process = subprocess.Popen(self.a.command("sleep", "1000"))
        time.sleep(0.1)
        process.kill()
        self.assertEqual(process.wait(5), -9)


if __name__ == "__main__":
    junit.main(private_machine.enter())

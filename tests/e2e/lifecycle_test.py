"""Processes that start, fail to start, die, come back and drain."""

import os
import signal
import socket
import subprocess
import threading
import unittest

import grpc
from grpc_health.v1 import health_pb2

from reflection_client import SERVICE, Client, details, reason, token_ids
from servers import (
    ROUTER, start_router, start_worker, wait_until,
)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LONG = {
    "inputIds": {"ids": [5, 6, 7]},
    "samplingParams": {"maxTokens": 400, "ignoreEos": True, "temperature": 0},
}
SHORT = {"inputIds": {"ids": [5]}, "samplingParams": {"maxTokens": 4}}


def run_router(*flags):
    return subprocess.run(
        [ROUTER, "--host=127.0.0.1", "--port=0", "--metrics_port=0", *flags],
        capture_output=True, text=True, timeout=30, check=False,
    )


class FlagsTest(unittest.TestCase):
    def test_bad_flags_are_refused(self):
        worker = "--workers=127.0.0.1:1"
        for flags, named in (
            ((), "--workers"),
            (("--workers=nonsense",), "nonsense"),
            (("--workers=127.0.0.1:0",), "127.0.0.1:0"),
            ((worker, "--no_such_flag=1"), "no_such_flag"),
            ((worker, "--port=99999"), "99999"),
            ((worker, "--port=x"), "port"),
            ((worker, "--policy=best"), "best"),
            ((worker, "--max_outstanding_requests=0"), "[16, 1000000]"),
            ((worker, "--drain_timeout=-1s"), "drain_timeout"),
            ((worker, "--tokenizer=/no/such/file"), "/no/such/file"),
            ((worker, f"--tokenizer={ROUTER}"), "blockserve_router"),
            ((worker, "stray"), "stray"),
        ):
            with self.subTest(flags=flags):
                result = run_router(*flags)
                self.assertEqual(result.returncode, 2, result.stderr)
                last = result.stderr.strip().splitlines()[-1]
                self.assertIn(named, last)

    def test_help_lists_the_flags(self):
        result = run_router("--help")
        self.assertEqual(result.returncode, 0)
        for flag in ("workers", "tokenizer", "policy", "drain_timeout"):
            self.assertIn(flag, result.stdout)

    def test_busy_ports_are_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            for flag in ("port", "metrics_port"):
                result = run_router("--workers=127.0.0.1:1", f"--{flag}={port}")
                self.assertEqual(result.returncode, 3, result.stderr)
                self.assertIn(str(port), result.stderr)


class LifecycleTest(unittest.TestCase):
    def start(self, server):
        self.addCleanup(server.__exit__)
        return server

    def client_of(self, router):
        client = Client(router.address)
        self.addCleanup(client.__exit__)
        return client

    def test_router_without_workers_says_so_and_waits_for_them(self):
        # A port that is free now and will be the worker's.
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        router = self.start(start_router([f"127.0.0.1:{port}"]))
        client = self.client_of(router)
        for name in ("", "readiness", SERVICE):
            self.assertEqual(client.health(name), NOT_SERVING)
        self.assertEqual(client.health("liveness"), SERVING)
        with self.assertRaises(grpc.RpcError) as raised:
            client.call("Generate", SHORT)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(reason(raised.exception), "NO_HEALTHY_WORKER")
        self.assertIn("RetryInfo", details(raised.exception))

        watch = client.watch()
        self.assertEqual(next(watch).status, NOT_SERVING)
        worker = self.start(start_worker(port=port))
        worker.wait_for_ports()
        self.assertEqual(next(watch).status, SERVING)
        client.call("Generate", SHORT)

        # It dies; the watcher hears of it; it comes back.
        worker.stop(signal.SIGKILL)
        self.assertEqual(next(watch).status, NOT_SERVING)
        self.assertEqual(client.health("liveness"), SERVING)
        again = self.start(start_worker(port=port))
        again.wait_for_ports()
        self.assertEqual(next(watch).status, SERVING)
        client.call("Generate", SHORT)
        watch.cancel()

    def test_one_dead_worker_of_two_fails_nothing(self):
        first = self.start(start_worker("--threads=1"))
        second = self.start(start_worker("--threads=1"))
        workers = [first.wait_for_ports(), second.wait_for_ports()]
        router = self.start(start_router(workers))
        client = self.client_of(router)
        wait_until(
            lambda: router.metric("blockserve_router_worker_health") == 2
        )
        expected = list(client.call("Generate", LONG).choices[0].token_ids)

        # Whatever ran there goes on elsewhere, unary or streamed.
        calls = [client.future("Generate", LONG) for _ in range(6)]
        stream = client.call("GenerateStream", LONG)
        wait_until(lambda: all(
            worker.metric("blockserve_num_requests_running") > 0
            for worker in workers
        ))
        messages = [next(stream)]
        first.stop(signal.SIGKILL)
        for call in calls:
            self.assertEqual(
                list(call.result().choices[0].token_ids), expected
            )
        messages.extend(stream)
        self.assertEqual(token_ids(messages), expected)
        wait_until(
            lambda: router.metric("blockserve_router_worker_health") == 1
        )
        for _ in range(10):
            client.call("Generate", SHORT)

    def test_router_that_dies_leaves_no_work_behind(self):
        worker = self.start(start_worker())
        worker.wait_for_ports()
        router = self.start(start_router([worker]))
        client = self.client_of(router)
        wait_until(lambda: client.health() == SERVING)
        stream = client.call("GenerateStream", LONG)
        next(stream)
        router.stop(signal.SIGKILL)
        with self.assertRaises(grpc.RpcError) as raised:
            list(stream)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
        wait_until(
            lambda: worker.metric("blockserve_kv_blocks", state="used") == 0,
            seconds=10,
        )
        # A new router takes over.
        second = self.start(start_router([worker]))
        other = self.client_of(second)
        wait_until(lambda: other.health() == SERVING)
        other.call("Generate", SHORT)

    def test_sigterm_drains_the_router(self):
        worker = self.start(start_worker())
        worker.wait_for_ports()
        router = self.start(start_router([worker]))
        client = self.client_of(router)
        wait_until(lambda: client.health() == SERVING)
        expected = list(client.call("Generate", LONG).choices[0].token_ids)
        watch = client.watch()
        self.assertEqual(next(watch).status, SERVING)
        stream = client.call("GenerateStream", LONG)
        messages = [next(stream)]
        codes = []
        stopper = threading.Thread(target=lambda: codes.append(router.stop()))
        stopper.start()
        self.assertEqual(next(watch).status, NOT_SERVING)
        messages.extend(stream)
        self.assertEqual(token_ids(messages), expected)
        stopper.join()
        self.assertEqual(codes, [0])

    def test_drain_timeout_ends_what_is_left(self):
        worker = self.start(start_worker())
        worker.wait_for_ports()
        router = self.start(start_router([worker], "--drain_timeout=0s"))
        client = self.client_of(router)
        wait_until(lambda: client.health() == SERVING)
        stream = client.call("GenerateStream", LONG)
        next(stream)
        self.assertEqual(router.stop(), 0)
        with self.assertRaises(grpc.RpcError) as raised:
            list(stream)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.ABORTED)
        self.assertEqual(reason(raised.exception), "DRAINING")

    def test_second_signal_cuts_the_drain_short(self):
        worker = self.start(start_worker())
        worker.wait_for_ports()
        router = self.start(start_router([worker], "--drain_delay=60s"))
        client = self.client_of(router)
        wait_until(lambda: client.health() == SERVING)
        os.kill(router.process.pid, signal.SIGTERM)
        wait_until(lambda: client.health() == NOT_SERVING)
        client.call("Generate", SHORT)  # still served in the delay
        self.assertEqual(router.stop(signal.SIGINT), 128 + signal.SIGINT)


if __name__ == "__main__":
    unittest.main()

"""Groups of ranks behind a router: what they write, how they drain, and how they
come back."""

import signal
import unittest

from grpc_health.v1 import health_pb2

from reflection_client import Client, token_ids
from servers import (
    start_follower, start_group, start_router, start_worker, wait_until,
)

SERVING = health_pb2.HealthCheckResponse.SERVING
# Sums of other shards differ by less than the gap between two tokens.
FP32 = "--dtype=fp32"


def request(seed, max_tokens=64):
    """Greedy for seed 0; prompts of all lengths modulo a block."""
    sampling = {"temperature": 0.9, "seed": seed} if seed else {"temperature": 0}
    return {
        "inputIds": {"ids": [5 + seed + i for i in range(3 + seed)]},
        "samplingParams": {
            "maxTokens": max_tokens, "ignoreEos": True, **sampling
        },
    }


REQUESTS = [request(seed) for seed in range(8)]


class GroupsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with start_worker(FP32).wait_for_ports() as worker:
            with start_router([worker]) as router:
                with Client(router.address) as client:
                    wait_until(lambda: client.health() == SERVING)
                    cls.expected = [
                        cls.tokens(client.call("Generate", one))
                        for one in REQUESTS
                    ]
                    cls.long = cls.tokens(
                        client.call("Generate", request(1, max_tokens=800))
                    )

    @staticmethod
    def tokens(response):
        return list(response.choices[0].token_ids)

    def start(self, *servers):
        for server in servers:
            self.addCleanup(server.__exit__)
        return servers[0]

    def serve(self, *groups):
        """A router and its client, once all groups are in rotation."""
        for group in groups:
            self.start(*group)
        router = self.start(start_router([group[0] for group in groups]))
        client = Client(router.address)
        self.addCleanup(client.__exit__)
        self.wait_for_groups(router, len(groups))
        return router, client

    def wait_for_groups(self, router, count):
        wait_until(
            lambda: router.metric("blockserve_router_worker_health") == count
        )

    def expect_same_tokens(self, client):
        calls = [client.future("Generate", one) for one in REQUESTS]
        self.assertEqual(
            [self.tokens(call.result()) for call in calls], self.expected
        )

    def test_writes_what_one_rank_writes_whatever_is_in_the_batch(self):
        for world_size, flag in (
            (2, "--collectives=shm"), (2, "--collectives=gloo"),
            (3, "--collectives=auto"),
        ):
            with self.subTest(world_size=world_size, flag=flag):
                group = start_group(world_size, FP32, flag)
                _, client = self.serve(group)
                self.expect_same_tokens(client)
                streamed = client.stream(REQUESTS[1])
                self.assertEqual(token_ids(streamed), self.expected[1])
                for rank in group:
                    self.assertEqual(rank.stop(signal.SIGKILL), -signal.SIGKILL)

    def test_a_lost_rank_costs_no_token_and_comes_back(self):
        hurt = start_group(2, FP32)
        other = start_group(2, FP32)
        router, client = self.serve(hurt, other)
        streams = [
            client.call("GenerateStream", request(1, max_tokens=800))
            for _ in range(4)
        ]
        wait_until(lambda: all(
            group[0].metric("blockserve_num_requests_running") == 2
            for group in (hurt, other)
        ))
        messages = [[next(stream)] for stream in streams]
        hurt[1].stop(signal.SIGKILL)
        for begun, stream in zip(messages, streams):
            self.assertEqual(token_ids([*begun, *stream]), self.long)
        self.assertEqual(router.metric("blockserve_router_resumes_total"), 2)
        self.wait_for_groups(router, 1)
        self.expect_same_tokens(client)
        self.assertEqual(hurt[0].metric("blockserve_rank_up", rank="1"), 0)

        self.start(start_follower(hurt[0], 1, "--world_size=2", FP32))
        self.wait_for_groups(router, 2)
        self.expect_same_tokens(client)
        self.assertEqual(hurt[0].metric("blockserve_group_epoch"), 2)
        self.assertEqual(hurt[0].metric("blockserve_group_rebuilds_total"), 1)
        self.assertEqual(hurt[0].metric("blockserve_rank_up", rank="1"), 1)
        self.assertEqual(other[0].metric("blockserve_group_epoch"), 1)

    def test_a_new_leader_finds_the_ranks_that_are_left(self):
        first = start_group(2, FP32)
        router, client = self.serve(first)
        first[0].stop(signal.SIGKILL)
        self.wait_for_groups(router, 0)
        again = self.start(start_worker(
            "--rank=0", "--world_size=2", FP32,
            f"--group_port={first[0].ports['group_port']}",
            port=first[0].ports["port"],
        ))
        again.wait_for_ports()
        self.wait_for_groups(router, 1)
        self.expect_same_tokens(client)
        # Above that of the old leader, which the rank that is left was in.
        self.assertEqual(again.metric("blockserve_group_epoch"), 2)

    def test_sigterm_to_all_ranks_lets_what_runs_end(self):
        group = start_group(2, FP32)
        _, client = self.serve(group)
        stream = client.call("GenerateStream", request(1, max_tokens=800))
        messages = [next(stream)]
        # As a cluster does: in no order.
        for rank in reversed(group):
            rank.process.send_signal(signal.SIGTERM)
        messages.extend(stream)
        self.assertEqual(token_ids(messages), self.long)
        self.assertEqual([rank.process.wait(20) for rank in group], [0, 0])


if __name__ == "__main__":
    unittest.main()

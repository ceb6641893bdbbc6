"""Many streams at once: each gets the tokens it gets alone, and what is stopped
is freed."""

import concurrent.futures
import random
import unittest

import grpc
from grpc_health.v1 import health_pb2

from reflection_client import Client, token_ids
from servers import start_router, start_worker, wait_until

SERVING = health_pb2.HealthCheckResponse.SERVING
NUM_STREAMS = 64


def requests():
    """Half greedy, half sampled by a seed; of many lengths."""
    generator = random.Random(7)
    for i in range(NUM_STREAMS):
        prompt = [generator.randrange(3, 4096)
                  for _ in range(generator.randrange(1, 40))]
        sampling = {"maxTokens": generator.randrange(8, 48), "ignoreEos": True}
        if i % 2 == 0:
            sampling["temperature"] = 0
        else:
            sampling.update(temperature=0.9, topP=0.95, seed=1000 + i)
        yield {"inputIds": {"ids": prompt}, "samplingParams": sampling}


class StreamsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.worker = start_worker()
        cls.addClassCleanup(cls.worker.__exit__)
        cls.worker.wait_for_ports()
        cls.router = start_router([cls.worker])
        cls.addClassCleanup(cls.router.__exit__)
        cls.client = Client(cls.router.address)
        cls.addClassCleanup(cls.client.__exit__)
        wait_until(lambda: cls.client.health() == SERVING)

    def pages_used(self):
        return self.worker.metric("blockserve_kv_blocks", state="used")

    def in_flight(self):
        return self.router.metric("blockserve_router_worker_inflight")

    def long_stream(self):
        """A stream that has begun and would go on for long."""
        stream = self.client.call(
            "GenerateStream",
            {
                "inputIds": {"ids": [5, 6, 7]},
                "samplingParams": {"maxTokens": 500, "ignoreEos": True},
            },
        )
        next(stream)
        return stream

    def assert_all_freed(self):
        wait_until(lambda: self.pages_used() == 0, seconds=10)
        wait_until(lambda: self.in_flight() == 0, seconds=10)
        self.assertEqual(
            self.worker.metric("blockserve_num_requests_running"), 0
        )

    def test_each_stream_gets_the_tokens_it_gets_alone(self):
        everything = list(requests())
        alone = [token_ids(self.client.stream(r)) for r in everything]
        for request, tokens in zip(everything, alone):
            self.assertEqual(
                len(tokens), request["samplingParams"]["maxTokens"]
            )
        with concurrent.futures.ThreadPoolExecutor(NUM_STREAMS) as pool:
            together = list(pool.map(
                lambda r: token_ids(self.client.stream(r, timeout=240)),
                everything,
            ))
        for i, (expected, got) in enumerate(zip(alone, together)):
            self.assertEqual(got, expected, f"stream {i}")
        self.assert_all_freed()

    def test_cancel_frees_pages(self):
        stream = self.long_stream()
        self.assertGreater(self.pages_used(), 0)
        stream.cancel()
        self.assert_all_freed()

    def test_cancel_of_a_unary_call_frees_pages(self):
        call = self.client.future(
            "Generate",
            {
                "inputIds": {"ids": [5, 6, 7]},
                "samplingParams": {"maxTokens": 500, "ignoreEos": True},
            },
        )
        wait_until(lambda: self.in_flight() == 1)
        call.cancel()
        self.assert_all_freed()

    def test_vanished_client_frees_pages(self):
        client = Client(self.router.address)
        stream = client.call(
            "GenerateStream",
            {
                "inputIds": {"ids": [5]},
                "samplingParams": {"maxTokens": 500, "ignoreEos": True},
            },
        )
        next(stream)
        client.channel.close()
        self.assert_all_freed()

    def test_deadline_frees_pages(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.stream(
                {
                    "inputIds": {"ids": [5]},
                    "samplingParams": {"maxTokens": 500, "ignoreEos": True},
                },
                timeout=0.15,
            )
        self.assertEqual(
            raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED
        )
        self.assert_all_freed()

    def test_many_cancelled_at_once_free_everything(self):
        streams = [self.long_stream() for _ in range(16)]
        for stream in streams:
            stream.cancel()
        self.assert_all_freed()
        # And the next request is served as ever.
        messages = self.client.stream(
            {"inputIds": {"ids": [5]}, "samplingParams": {"maxTokens": 4}}
        )
        self.assertEqual(len(token_ids(messages)), 4)


if __name__ == "__main__":
    unittest.main()

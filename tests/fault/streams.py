"""Streams that run at once and whose tokens are known beforehand."""

import random
import threading

import grpc

from reflection_client import reason

VOCAB_SIZE = 4096
TIMEOUT = 60  # seconds


def make_requests(num_streams, seed, min_tokens, max_tokens):
    """Half greedy, half sampled by a seed; prompts and ends of many lengths."""
    generator = random.Random(seed)
    requests = []
    for i in range(num_streams):
        prompt = [generator.randrange(3, VOCAB_SIZE)
                  for _ in range(generator.randrange(1, 60))]
        sampling = {
            "maxTokens": generator.randrange(min_tokens, max_tokens),
            "ignoreEos": True,
        }
        if i % 2 == 0:
            sampling["temperature"] = 0
        else:
            sampling.update(temperature=0.9, topP=0.95, seed=1000 * seed + i)
        requests.append(
            {"inputIds": {"ids": prompt}, "samplingParams": sampling}
        )
    return requests


class Streams:
    """Sends all requests at once and reads their streams to the end."""

    def __init__(self, client, requests):
        self._client = client
        self.tokens = [[] for _ in requests]
        self.errors = [None for _ in requests]
        self._began = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=self._read, args=(i, request))
            for i, request in enumerate(requests)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, index, request):
        began = False
        try:
            for message in self._client.call("GenerateStream", request,
                                             timeout=TIMEOUT):
                self.tokens[index].extend(message.token_ids)
                if not began:
                    began = True
                    self._began.release()
        except grpc.RpcError as error:
            self.errors[index] = (
                f"{error.code().name} {reason(error)}: {error.details()}"
            )
        if not began:
            self._began.release()

    def wait_until_all_began(self):
        for _ in self._threads:
            if not self._began.acquire(timeout=TIMEOUT):
                raise AssertionError("streams did not begin")

    def num_running(self):
        return sum(thread.is_alive() for thread in self._threads)

    def join(self):
        for thread in self._threads:
            thread.join()
        return self

    def problems(self, expected):
        """A line for every stream that did not end as `expected` did."""
        found = []
        for i, (tokens, error) in enumerate(zip(self.tokens, self.errors)):
            if error is not None:
                found.append(f"stream {i}: {error}, after {len(tokens)} of "
                             f"{len(expected[i])} tokens")
            elif tokens != expected[i]:
                same = next(
                    (k for k, pair in enumerate(zip(tokens, expected[i]))
                     if pair[0] != pair[1]),
                    min(len(tokens), len(expected[i])),
                )
                found.append(f"stream {i}: {len(tokens)} tokens, expected "
                             f"{len(expected[i])}; they part at {same}")
        return found


def reference_tokens(client, requests):
    """The tokens of all requests when nothing is wrong."""
    streams = Streams(client, requests).join()
    if any(streams.errors):
        raise AssertionError(f"undisturbed streams failed: {streams.errors}")
    for request, tokens in zip(requests, streams.tokens):
        if len(tokens) != request["samplingParams"]["maxTokens"]:
            raise AssertionError(f"{len(tokens)} tokens for {request}")
    return streams.tokens

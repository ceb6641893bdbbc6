"""Reads Prometheus metrics of a server."""

import re
import urllib.request

_SAMPLE = re.compile(r"([^\s#{]+(?:\{.*\})?) (\S+)$")
# Nobody's proxy stands between two processes of a test.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def scrape(address, timeout=10):
    """All samples of http://ADDRESS/metrics, by name with labels."""
    url = f"http://{address}/metrics"
    with _OPENER.open(url, timeout=timeout) as reply:
        lines = reply.read().decode().splitlines()
    matches = (_SAMPLE.match(line) for line in lines)
    return {match[1]: float(match[2]) for match in matches if match}


def total(samples, name, **labels):
    """The sum of the samples of `name` that carry `labels`."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        value
        for sample, value in samples.items()
        if sample.split("{")[0] == name
        and all(label in sample for label in wanted)
    )

"""The real binaries: their flags, and processes started as manifests say."""

import json
import os
import pathlib
import re
import subprocess

from servers import MODEL, Server

PATHS = {
    "blockserve": os.environ["BLOCKSERVE_BINARY"],
    "blockserve_router": os.environ["BLOCKSERVE_ROUTER"],
    "blockserve_worker": os.environ["BLOCKSERVE_WORKER"],
}
# What manifests and dashboard use before the binaries have it, and what one
# quiet group does not show.
CONTRACT = json.loads(
    pathlib.Path(__file__).with_name("contract.json").read_text()
)
# Where the image keeps the model that BLOCKSERVE_MODELS has here.
MODEL_IN_IMAGE = "/models/demo-block"


def known_flags():
    """The flags of router and worker, with their defaults."""
    flags = {}
    for binary in ("blockserve_router", "blockserve_worker"):
        text = subprocess.run(
            [PATHS[binary], "--help"],
            check=True, capture_output=True, text=True, timeout=30,
        ).stdout
        flags[binary] = dict(re.findall(r"^  --(\w+)=(.*)$", text, re.M))
    return flags


def start(container, *flags, env=None):
    """Starts a manifest's container here: its own flags but those that name
    ports, files of the cluster, or what the binary does not have yet."""
    not_here = {"port", "metrics_port", "group_port", "group_secret_file"}
    not_here |= {flag.split("=")[0].removeprefix("--") for flag in flags}
    not_here |= set(CONTRACT["flags_ahead"][container.binary])
    own = [
        f"--{flag}={value.replace(MODEL_IN_IMAGE, MODEL)}"
        for flag, value in container.flags.items()
        if flag not in not_here
    ]
    return Server(PATHS[container.binary], *own, *flags, env=env)

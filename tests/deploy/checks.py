"""What schemas cannot tell: whether manifests, binaries and image agree. Each
check returns its objections as text; none means good."""

import re

from manifests import LWS_LABEL, containers, matches, pods

# Port names of containers and the flags that set them.
PORT_FLAGS = {"grpc": "port", "metrics": "metrics_port", "group": "group_port"}
SPARE_SECONDS = 10
VOLUME_KINDS = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


def seconds(duration):
    """Of a duration as Abseil prints it, in whole parts: 90s, 1m30s, 0."""
    if duration == "0":
        return 0
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", duration)
    if not parts or not any(parts.groups()):
        raise ValueError(f"not a duration in h, m, s: {duration!r}")
    hours, minutes, rest = (int(part or 0) for part in parts.groups())
    return (hours * 60 + minutes) * 60 + rest


def flag_errors(objects, known_flags, ahead):
    """`known_flags` has the flags of each binary with their defaults; `ahead`
    names flags that the manifests use and the binary does not have yet."""
    errors = []
    for container in containers(objects):
        binary = container.binary
        if binary not in known_flags:
            errors.append(f"{container.name}: no binary {binary}")
            continue
        for flag in container.flags:
            if flag not in known_flags[binary] and flag not in ahead[binary]:
                errors.append(f"{container.name}: {binary} has no --{flag}")
    return errors


def ahead_errors(known_flags, ahead):
    """A flag that has come must leave the list of those to come."""
    return [
        f"{binary} has --{flag} by now: take it out of flags_ahead"
        for binary, flags in ahead.items()
        for flag in flags
        if flag in known_flags[binary]
    ]


def port_errors(objects, known_flags):
    """Ports of flags, containers, probes, services and policies agree."""
    errors = []
    for container in containers(objects):
        defaults = known_flags[container.binary]
        for name, port in container.ports.items():
            flag = PORT_FLAGS[name]
            actual = container.flags.get(flag, defaults.get(flag))
            if str(port) != actual:
                errors.append(
                    f"{container.name}: port {name} is {port}, --{flag}={actual}"
                )
        for kind, probe in container.probes():
            if probe["grpc"]["port"] != container.ports["grpc"]:
                errors.append(f"{container.name}: {kind} at another port")
    for item in objects:
        if item["kind"] == "Service":
            errors += _service_port_errors(item, objects)
        elif item["kind"] == "NetworkPolicy":
            errors += _policy_port_errors(item, objects)
    return errors


def _service_port_errors(service, objects):
    errors = []
    selector = {"matchLabels": service["spec"]["selector"]}
    for pod in pods(objects):
        if not matches(selector, pod.labels):
            continue
        ports = pod.containers[0].ports
        for port in service["spec"]["ports"]:
            name = f"Service/{service['metadata']['name']} {port['name']}"
            if ports.get(port["targetPort"]) != port["port"]:
                errors.append(f"{name}: {port['port']} is not {pod.name}'s")
    return errors


def _policy_port_errors(policy, objects):
    """Ingress to a pod names a port it has; egress, a port of its target."""
    errors = []
    spec = policy["spec"]
    own = [p for p in pods(objects) if matches(spec["podSelector"], p.labels)]
    for rule in spec.get("ingress", []):
        errors += _rule_errors(policy, rule, own)
    for rule in spec.get("egress", []):
        for peer in rule.get("to", []):
            selector = peer["podSelector"]
            targets = [
                p for p in pods(objects) if matches(selector, p.labels)
            ]
            errors += _rule_errors(policy, rule, targets)
    return errors


def _rule_errors(policy, rule, targets):
    name = f"NetworkPolicy/{policy['metadata']['name']}"
    open_ports = {
        port for pod in targets for c in pod.containers
        for port in c.ports.values()
    }
    return [
        f"{name}: nothing listens on {port['port']}"
        for port in rule["ports"]
        if "endPort" not in port and port["port"] not in open_ports
    ]


def address_errors(objects):
    """--workers_dns names a headless service of leaders only, and its port."""
    errors = []
    services = {
        f"{item['metadata']['name']}:{port['port']}": item
        for item in objects
        if item["kind"] == "Service"
        for port in item["spec"]["ports"]
    }
    for container in containers(objects):
        address = container.flags.get("workers_dns")
        if address is None:
            continue
        service = services.get(address)
        if service is None:
            errors.append(f"{container.name}: no service at {address}")
            continue
        if service["spec"].get("clusterIP") != "None":
            errors.append(f"{address} is not headless")
        selector = {"matchLabels": service["spec"]["selector"]}
        ranks = [
            pod.labels.get(LWS_LABEL + "worker-index")
            for pod in pods(objects)
            if matches(selector, pod.labels)
        ]
        if ranks != ["0"]:
            errors.append(f"{address} selects ranks {ranks}, not leaders only")
    return errors


def selector_errors(objects):
    """Every selector finds a pod of ours."""
    errors = []
    for item in objects:
        spec = item["spec"]
        selectors = {
            "Deployment": lambda: [spec["selector"]],
            "NetworkPolicy": lambda: [spec["podSelector"]],
            "PodDisruptionBudget": lambda: [spec["selector"]],
            "Service": lambda: [{"matchLabels": spec["selector"]}],
        }.get(item["kind"], list)()
        for selector in selectors:
            if not any(matches(selector, pod.labels) for pod in pods(objects)):
                errors.append(
                    f"{item['kind']}/{item['metadata']['name']} selects nothing"
                )
    return errors


def shutdown_errors(objects, known_flags):
    """Grace covers preStop, drain and some spare time."""
    errors = []
    for pod in pods(objects):
        for container in pod.containers:
            need = SPARE_SECONDS
            hook = container.spec["lifecycle"]["preStop"]
            need += hook["sleep"]["seconds"]
            defaults = known_flags[container.binary]
            for flag in ("drain_delay", "drain_timeout"):
                if flag in defaults:
                    value = container.flags.get(flag, defaults[flag])
                    need += seconds(value)
            grace = pod.spec["terminationGracePeriodSeconds"]
            if grace < need:
                errors.append(f"{pod.name}: {need} s do not fit in {grace} s")
    return errors


def security_errors(objects):
    """Pod Security Standard "restricted", and a little more."""
    errors = []
    for pod in pods(objects):
        context = pod.spec["securityContext"]
        good = {
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser", 0) >= 10000,
            "seccompProfile": context.get("seccompProfile")
            == {"type": "RuntimeDefault"},
            "automountServiceAccountToken": pod.spec.get(
                "automountServiceAccountToken"
            )
            is False,
            "host namespaces": not any(
                key.startswith("host") and value
                for key, value in pod.spec.items()
            ),
            "volumes": all(
                set(volume) - {"name"} <= VOLUME_KINDS
                for volume in pod.spec.get("volumes", [])
            ),
        }
        for container in pod.containers:
            inner = container.spec["securityContext"]
            good |= {
                "allowPrivilegeEscalation": inner.get(
                    "allowPrivilegeEscalation"
                )
                is False,
                "readOnlyRootFilesystem": inner.get("readOnlyRootFilesystem")
                is True,
                "capabilities": inner.get("capabilities") == {"drop": ["ALL"]},
                "limits": set(container.spec["resources"]["limits"])
                >= {"cpu", "memory"},
            }
        errors += [f"{pod.name}: {what}" for what, ok in good.items() if not ok]
    for item in objects:
        if item["kind"] == "Secret":
            errors.append(f"Secret/{item['metadata']['name']} is in git")
    return errors


def group_errors(objects):
    """A group that is recreated as a whole must not rebuild itself, takes the
    cores of its limit, and finds its secret and shared memory."""
    errors = []
    for pod in pods(objects):
        container = pod.containers[0]
        if container.binary != "blockserve_worker":
            continue
        flags = container.flags
        if flags.get("on_group_failure") != "exit":
            errors.append(f"{pod.name}: --on_group_failure must be exit")
        limits = container.spec["resources"]["limits"]
        if flags.get("threads") != limits["cpu"]:
            errors.append(f"{pod.name}: --threads is not the cpu limit")
        volumes = {v["name"]: v for v in pod.spec["volumes"]}
        mounts = {
            mount["mountPath"]: volumes.get(mount["name"], {})
            for mount in container.spec["volumeMounts"]
        }
        directory = flags["group_secret_file"].rpartition("/")[0]
        if "secret" not in mounts.get(directory, {}):
            errors.append(f"{pod.name}: no secret at {directory}")
        shm = mounts.get("/dev/shm", {}).get("emptyDir", {})
        if shm.get("medium") != "Memory" or "sizeLimit" not in shm:
            errors.append(f"{pod.name}: /dev/shm must be memory with a limit")
    return errors

"""Reads deploy/kubernetes: what Kustomize would apply, and the pods in it."""

import pathlib

import yaml

DEPLOY = pathlib.Path("deploy")
BASE = DEPLOY / "kubernetes"
LWS_LABEL = "leaderworkerset.sigs.k8s.io/"


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice, where YAML takes the last."""

    def construct_mapping(self, node, deep=False):
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(
                None, None, "duplicate key", node.start_mark
            )
        return mapping


def load_all(path):
    with open(path, encoding="utf-8") as file:
        return list(yaml.load_all(file, StrictLoader))


def load(path):
    (document,) = load_all(path)
    return document


def render(directory=BASE):
    """The objects of a kustomization that only lists resources: kubectl is not
    needed for these, and one that does more is refused."""
    kustomization = load(directory / "kustomization.yaml")
    more = set(kustomization) - {"apiVersion", "kind", "resources"}
    if more:
        raise ValueError(f"this renderer knows resources only, not {more}")
    return [
        document
        for resource in kustomization["resources"]
        for document in load_all(directory / resource)
    ]


class Pod:
    """A pod template, with the labels that its pods will carry."""

    def __init__(self, owner, template):
        self.name = f"{owner['kind']}/{owner['metadata']['name']}"
        self.template = template
        self.spec = template["spec"]
        self.labels = dict(template["metadata"]["labels"])
        self.containers = [Container(self, c) for c in self.spec["containers"]]


class Container:
    def __init__(self, pod, spec):
        self.name = f"{pod.name}/{spec['name']}"
        self.spec = spec
        self.binary = spec["command"][0]
        self.flags = {}
        for argument in spec.get("args", []):
            flag, _, value = argument.partition("=")
            self.flags[flag.removeprefix("--")] = value
        self.ports = {
            port["name"]: port["containerPort"] for port in spec["ports"]
        }

    def probes(self):
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            if kind in self.spec:
                yield kind, self.spec[kind]


def pods(objects):
    """Every pod template of `objects`. Of a group there are two: the leader
    (worker-index 0) and one for the rest."""
    found = []
    for item in objects:
        if item["kind"] == "Deployment":
            found.append(Pod(item, item["spec"]["template"]))
        elif item["kind"] == "LeaderWorkerSet":
            group = item["spec"]["leaderWorkerTemplate"]
            worker = group["workerTemplate"]
            templates = [group.get("leaderTemplate", worker)]
            templates += [worker] * (group["size"] > 1)
            for index, template in enumerate(templates):
                pod = Pod(item, template)
                pod.name += f"[{index}]"
                pod.labels[LWS_LABEL + "name"] = item["metadata"]["name"]
                pod.labels[LWS_LABEL + "worker-index"] = str(index)
                found.append(pod)
    return found


def containers(objects):
    return [container for pod in pods(objects) for container in pod.containers]


def matches(selector, labels):
    """Whether a selector with matchLabels only takes a pod. {} takes all."""
    unknown = set(selector) - {"matchLabels"}
    if unknown:
        raise ValueError(f"selectors here have matchLabels only, not {unknown}")
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())

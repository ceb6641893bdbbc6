"""The image has what the binaries need, and nothing else."""

import functools
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import unittest

import binaries
import manifests

DOCKERFILE = manifests.DEPLOY / "docker" / "Dockerfile"
HADOLINT = pathlib.Path(sys.executable).with_name("hadolint")
# In every Debian image, so it is not listed.
ESSENTIAL = {"libc6"}


def stages(text):
    """The stages of a Dockerfile as lists of instructions, each one line."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = []
    for line in filter(None, joined.splitlines()):
        if line.startswith("FROM "):
            found.append([])
        found[-1].append(line)
    return found


def installed_packages(stage):
    """What a stage's apt-get install names."""
    (command,) = (line for line in stage if "apt-get install" in line)
    words = command.split("apt-get install", 1)[1].split("&&")[0].split()
    return {word for word in words if not word.startswith("-")}


def run(*command):
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60
    ).stdout


def packages_of(libraries):
    """{path: Debian's package of it}. dpkg may know a path with or without
    /usr."""
    short = {path.removeprefix("/usr") for path in libraries}
    # It ends with 1, as one of each pair is unknown.
    lines = subprocess.run(
        ["dpkg-query", "-S", *short, *("/usr" + path for path in short)],
        capture_output=True, text=True, check=False, timeout=60,
    ).stdout.splitlines()
    found = {
        line.split(": ")[1].removeprefix("/usr"): line.split(":")[0]
        for line in lines
    }
    return {path: found[path.removeprefix("/usr")] for path in libraries}


def needed_packages():
    """Packages of the libraries that the binaries name, and of all that are
    loaded with these."""
    named, loaded = set(), {}
    for path in binaries.PATHS.values():
        named |= set(re.findall(r"NEEDED +(\S+)", run("objdump", "-p", path)))
        loaded |= dict(re.findall(r"(\S+) => (/\S+)", run("ldd", path)))
    packages = packages_of(loaded.values())
    return {packages[loaded[name]] for name in named}, set(packages.values())


def with_dependencies(packages):
    """What apt-get installs for `packages` without recommendations."""
    found, todo = set(), list(packages)
    while todo:
        package = todo.pop()
        if package in found:
            continue
        found.add(package)
        todo += dependencies(package)
    return found


@functools.cache
def dependencies(package):
    fields = subprocess.run(
        ["dpkg-query", "-W", "-f=${Pre-Depends}, ${Depends}", package],
        capture_output=True, text=True, check=False,
    ).stdout
    # Of alternatives apt takes the first.
    return re.findall(r"(?:^|, )([a-z0-9][a-z0-9.+-]+)", fields)


def lint(path):
    return subprocess.run(
        [HADOLINT, "--no-color", path],
        capture_output=True, text=True, check=False,
    ).stdout


class ImageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = DOCKERFILE.read_text()
        cls.build, cls.runtime = stages(cls.text)

    def test_linter_is_content(self):
        self.assertEqual(lint(DOCKERFILE), "")

    def test_linter_finds_a_planted_error(self):
        with tempfile.NamedTemporaryFile("w", suffix=".Dockerfile") as file:
            file.write(self.text.replace("FROM debian:12-slim", "FROM debian"))
            file.flush()
            self.assertIn("DL3006", lint(file.name))

    @unittest.skipUnless(
        platform.freedesktop_os_release().get("VERSION_ID") == "12",
        "packages are those of Debian 12",
    )
    def test_runtime_packages_are_what_the_binaries_need(self):
        listed = installed_packages(self.runtime)
        named, loaded = needed_packages()
        self.assertEqual(
            listed, named - ESSENTIAL, "edit deploy/docker/Dockerfile"
        )
        self.assertLessEqual(loaded, with_dependencies(listed) | ESSENTIAL)
        # One that is left out is missed.
        self.assertFalse(loaded <= with_dependencies(listed - {"libdnnl2"}))

    def test_build_packages_come_from_the_set_up(self):
        build = "\n".join(self.build)
        self.assertIn('install_packages "${BUILD_PACKAGES[@]}"', build)
        self.assertNotIn("apt-get", build)

    def test_runs_as_the_user_of_the_manifests(self):
        (user,) = (line for line in self.runtime if line.startswith("USER "))
        for pod in manifests.pods(manifests.render()):
            context = pod.spec["securityContext"]
            self.assertEqual(
                user,
                f"USER {context['runAsUser']}:{context['runAsGroup']}",
            )

    def test_stops_by_the_signal_that_drains(self):
        self.assertIn("STOPSIGNAL SIGTERM", self.runtime)

    def test_has_the_binaries_and_files_of_the_manifests(self):
        copied = dict(
            line.split()[1:]
            for line in self.runtime
            if line.startswith("COPY ") and "--from" not in line
        )
        model = copied["models/demo-block/"].rstrip("/")
        self.assertEqual(model, binaries.MODEL_IN_IMAGE)
        built = " ".join(self.build)
        for container in manifests.containers(manifests.render()):
            self.assertIn(f"/{container.binary}", built)
            for flag in ("model", "tokenizer"):
                path = container.flags.get(flag, model)
                here = path.replace(model, binaries.MODEL)
                self.assertTrue(os.path.exists(here), path)

    def test_exposes_the_ports_of_the_manifests(self):
        (exposed,) = (
            line for line in self.runtime if line.startswith("EXPOSE ")
        )
        used = {
            str(port)
            for container in manifests.containers(manifests.render())
            for port in container.ports.values()
        }
        self.assertEqual(set(exposed.split()[1:]), used)

    def test_nothing_but_what_the_build_reads_is_sent(self):
        ignore = manifests.DEPLOY / "docker" / "Dockerfile.dockerignore"
        lines = [
            line for line in ignore.read_text().splitlines()
            if line and not line.startswith("#")
        ]
        self.assertEqual(lines[0], "*")
        self.assertTrue(all(line.startswith("!") for line in lines[1:]))


if __name__ == "__main__":
    unittest.main()

"""What nvcc made of the kernels, for each generation of GPUs: registers stay
registers (ptxas says so), and the instructions that speed depends on are there
(cuobjdump says so, where it can be found)."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import junit

ARCHITECTURES = ["sm_80", "sm_90", "sm_100"]
COMPILED = pathlib.Path(os.environ["BLOCKSERVE_COMPILED_KERNELS"])
REGISTERS = 65536  # of a multiprocessor, of all of these generations


class Kernel:
    """One kernel for one generation, as ptxas describes it."""

    def __init__(self, source, name, architecture):
        self.source, self.name, self.architecture = source, name, architecture
        self.spilled_bytes = self.stack_bytes = self.registers = None

    def __str__(self):
        return f"{self.source}, {self.name}, {self.architecture}"


def kernels_of(report):
    """The kernels in a report of `ptxas -v`."""
    kernels = []
    for line in report.read_text().splitlines():
        if match := re.search(r"Compiling entry function '(\S+)' for '(\S+)'", line):
            kernels.append(Kernel(report.stem, match[1], match[2]))
        elif match := re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line
        ):
            kernels[-1].stack_bytes = int(match[1])
            kernels[-1].spilled_bytes = int(match[2]) + int(match[3])
        elif match := re.search(r"Used (\d+) registers", line):
            kernels[-1].registers = int(match[1])
    return kernels


def all_kernels():
    reports = sorted(COMPILED.glob("*.ptxas"))
    return [kernel for report in reports for kernel in kernels_of(report)]


class RegistersTest(unittest.TestCase):
    def test_every_source_is_compiled_for_every_generation(self):
        sources = {path.name.split(".")[0] for path in COMPILED.glob("*.pic.o")}
        self.assertGreaterEqual(len(sources), 8)
        for source in sources:
            found = {k.architecture for k in all_kernels() if k.source == source}
            self.assertEqual(found, set(ARCHITECTURES), source)

    def test_nothing_is_spilled(self):
        for kernel in all_kernels():
            self.assertEqual(kernel.spilled_bytes, 0, kernel)
            self.assertEqual(kernel.stack_bytes, 0, kernel)

    def test_attention_has_room_for_enough_warps(self):
        """Two CTAs of four warps are the least that hides a wait by work."""
        for kernel in all_kernels():
            if "attention" in kernel.source:
                self.assertLessEqual(kernel.registers * 2 * 128, REGISTERS, kernel)

    def test_a_spill_would_be_noticed(self):
        report = pathlib.Path(os.environ["TEST_TMPDIR"]) / "planted.ptxas"
        report.write_text(
            "ptxas info    : Compiling entry function 'K' for 'sm_90'\n"
            "ptxas info    : Function properties for K\n"
            "    16 bytes stack frame, 16 bytes spill stores, 20 bytes spill loads\n"
            "ptxas info    : Used 64 registers, used 1 barriers\n")
        (kernel,) = kernels_of(report)
        self.assertEqual((kernel.spilled_bytes, kernel.stack_bytes, kernel.registers),
                         (36, 16, 64))


def find_tools():
    """The folder of cuobjdump and nvdisasm: the toolkit's, or that of the
    Python packages nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm."""
    folders = [pathlib.Path("/usr/local/cuda/bin"),
               *pathlib.Path(sys.prefix).glob("lib/python3*/site-packages/nvidia/*/bin")]
    if found := shutil.which("cuobjdump"):
        folders.append(pathlib.Path(found).parent)
    for folder in folders:
        if (folder / "cuobjdump").exists() and (folder / "nvdisasm").exists():
            return folder
    return None


TOOLS = find_tools()


@unittest.skipIf(TOOLS is None, "no cuobjdump and nvdisasm (tests/requirements-cuda.txt)")
class InstructionsTest(unittest.TestCase):
    def functions(self, source, architecture):
        """Kernel name -> the opcodes of its instructions."""
        environment = dict(os.environ, PATH=f"{TOOLS}:{os.environ['PATH']}")
        # The Python packages do not always mark it as a program.
        tool = TOOLS / "cuobjdump"
        if not os.access(tool, os.X_OK):
            self.skipTest(f"{tool} is no program")
        listing = subprocess.run(
            [tool, "-sass", "-arch", architecture, COMPILED / f"{source}.pic.o"],
            env=environment, capture_output=True, text=True, check=True).stdout
        functions, opcodes = {}, None
        for line in listing.splitlines():
            if match := re.search(r"Function : (\S+)", line):
                opcodes = functions.setdefault(match[1], [])
            elif match := re.search(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)",
                                    line):
                opcodes.append(match[1])
        self.assertGreater(len(functions), 0, listing[:1000])
        return functions

    def assert_has(self, opcodes, pattern, where):
        self.assertTrue(any(re.match(pattern, opcode) for opcode in opcodes),
                        f"no {pattern} in {where}")

    def test_decoding_copies_and_loads_16_bytes_at_once(self):
        for architecture in ARCHITECTURES:
            for name, opcodes in self.functions("decode_attention", architecture).items():
                where = f"{name}, {architecture}"
                self.assert_has(opcodes, r"LDGSTS.*\.128", where)
                self.assert_has(opcodes, r"LDG\..*128", where)
                self.assert_has(opcodes, r"LDS\.128", where)

    def test_prompts_are_for_tensor_cores(self):
        for architecture in ARCHITECTURES:
            for name, opcodes in self.functions("prefill_attention", architecture).items():
                where = f"{name}, {architecture}"
                self.assert_has(opcodes, r"LDGSTS.*\.128", where)
                self.assert_has(opcodes, r"LDSM\.16\.M88\.4", where)
                self.assert_has(opcodes, r"LDSM\.16\.MT88\.4", where)
                self.assert_has(opcodes, r"HMMA\.16816\.F32\.BF16", where)

    def test_no_kernel_touches_local_memory(self):
        for source in sorted(path.name.split(".")[0] for path in COMPILED.glob("*.pic.o")):
            for architecture in ARCHITECTURES:
                for name, opcodes in self.functions(source, architecture).items():
                    local = [o for o in opcodes if o.startswith(("LDL", "STL"))]
                    self.assertEqual(local, [], f"{name}, {architecture}")


if __name__ == "__main__":
    junit.main()

"""Runs the unittest cases of a script, for Bazel: as unittest.main() does, and
writes each case to $XML_OUTPUT_FILE, so that count_tests.py counts case by case
and sees what was skipped."""

import os
import sys
import time
import unittest
import xml.etree.ElementTree as xml


class _Result(unittest.TextTestResult):
    """Keeps (test, seconds, kind, text) of every case."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.cases = []
        self._started = time.monotonic()
        self._failed_subtest = None

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()
        self._failed_subtest = None

    def _keep(self, test, kind, text=""):
        seconds = time.monotonic() - self._started
        self.cases.append((test.id(), seconds, kind, text))

    def addSuccess(self, test):
        super().addSuccess(test)
        self._keep(test, "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._keep(test, "failure", self._exc_info_to_string(err, test))

    # Also what failed to be set up, where `test` stands for a class or module.
    def addError(self, test, err):
        super().addError(test, err)
        self._keep(test, "error", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._keep(test, "skipped", reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        # The case as a whole is no success then, and unittest tells no more.
        if err is not None and self._failed_subtest is not test:
            self._failed_subtest = test
            self._keep(test, "failure", self._exc_info_to_string(err, subtest))


def _write(cases, path):
    suite = xml.Element("testsuite", name=os.path.basename(sys.argv[0]),
                        tests=str(len(cases)))
    for name, seconds, kind, text in cases:
        class_name, _, method = name.rpartition(".")
        case = xml.SubElement(suite, "testcase", classname=class_name,
                              name=method, time=f"{seconds:.3f}")
        if kind != "passed":
            detail = xml.SubElement(case, kind, message=text.strip()[-500:])
            # XML has no place for control characters.
            detail.text = "".join(
                c for c in text if c.isprintable() or c in "\n\t"
            )
    xml.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def _cases_in(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _cases_in(item)
        else:
            yield item


def main(skip_reason=None):
    """Runs the cases of __main__, or those named on the command line, and ends
    the process. With a `skip_reason` each of them is skipped for it."""
    module = sys.modules["__main__"]
    loader = unittest.defaultTestLoader
    names = sys.argv[1:]
    suite = (loader.loadTestsFromNames(names, module) if names
             else loader.loadTestsFromModule(module))
    if skip_reason is not None:
        print(f"SKIPPED: {skip_reason}", file=sys.stderr)
        suite = unittest.TestSuite(
            _Skipped(case, skip_reason) for case in _cases_in(suite)
        )
    result = unittest.TextTestRunner(
        verbosity=2, resultclass=_Result
    ).run(suite)
    path = os.environ.get("XML_OUTPUT_FILE")
    if path:
        _write(result.cases, path)
    sys.stdout.flush()
    sys.exit(0 if result.wasSuccessful() else 1)


class _Skipped:
    """A case that is not run, without set-up of its class or module."""

    def __init__(self, case, reason):
        self._case = case
        self._reason = reason

    def __call__(self, result):
        result.startTest(self._case)
        result.addSkip(self._case, self._reason)
        result.stopTest(self._case)

    def countTestCases(self):
        return 1

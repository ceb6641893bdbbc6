"""Counts test cases of one `bazel test` run: prints "PASSED FAILED SKIPPED".

Reads the build event file of the run. A test binary that writes JUnit XML
(GoogleTest does) counts case by case; another test counts as one; a target
that did not build or ended without a result counts as one failure. Targets that
this kind of build leaves out do not count.
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree


def count_cases(path):
    """Returns (passed, failed, skipped) of a test.xml, or None without cases."""
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    passed = failed = skipped = 0
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            skipped += 1
        elif case.get("status") == "notrun":  # DISABLED_ or filtered
            skipped += 1
        else:
            passed += 1
    return (passed, failed, skipped) if passed + failed + skipped else None


def count_result(result):
    """Counts one TestResult event."""
    ok = result.get("status") == "PASSED"
    for output in result.get("testActionOutput", []):
        if output.get("name") != "test.xml":
            continue
        path = urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
        cases = count_cases(path)
        if cases is not None:
            # A binary that crashed may have reported no failed case.
            if not ok and cases[1] == 0:
                return (cases[0], 1, cases[2])
            return cases
    return (1, 0, 0) if ok else (0, 1, 0)


def main(path):
    totals = {}
    broken = set()
    left_out = set()  # by target_compatible_with: not meant for this build
    with open(path, encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            identity = event.get("id", {})
            if "testResult" in event:
                label = identity["testResult"]["label"]
                # The last attempt stands.
                totals[label] = count_result(event["testResult"])
            elif event.get("aborted", {}).get("reason") == "SKIPPED":
                left_out.add(identity["targetCompleted"]["label"])
            elif "targetCompleted" in identity and "aborted" in event:
                broken.add(identity["targetCompleted"]["label"])
            elif "completed" in event and not event["completed"].get("success"):
                broken.add(identity["targetCompleted"]["label"])
            elif "aborted" in event and "pattern" in identity:
                broken.add(str(identity["pattern"]))
    for label in broken - left_out - set(totals):
        totals[label] = (0, 1, 0)
    if not totals:
        totals["nothing ran"] = (0, 1, 0)
    print(*[sum(column) for column in zip(*totals.values())])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

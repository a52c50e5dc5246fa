#!/usr/bin/env python3
"""sum_tests.py DIR: the end of ./test. Adds up ctest's JUnit files (DIR/*.xml) and the parts that could not run
(DIR/*.broken), names what failed and what was skipped, and closes with `N passed, N failed, N skipped`.
Exit code 0 only if something passed and nothing failed."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def outcome(case) -> str:
    """passed, failed or skipped. What is neither plainly passed nor plainly skipped has failed."""
    status = case.get("status")
    if status == "run" and case.find("failure") is None:
        return "passed"
    if status == "disabled":
        return "skipped"
    skipped = case.find("skipped")
    # ctest says "notrun" both for a test that skipped itself and for one whose program is not there.
    if skipped is not None and skipped.get("message", "").startswith("SKIP_"):
        return "skipped"
    return "failed"


def reason(case) -> str:
    """The first line of the test's own output that looks like the reason for a skip."""
    lines = (case.findtext("system-out") or "").splitlines()
    for number, line in enumerate(lines):
        if "Skipped" in line and number + 1 < len(lines):
            return lines[number + 1].strip()
    return lines[-1].strip() if lines else ""


def main() -> int:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    folder = Path(sys.argv[1])
    count = {"passed": 0, "failed": 0, "skipped": 0}
    failed, skipped, slow = [], [], []
    for path in sorted(folder.glob("*.xml")):
        part = path.stem
        try:
            cases = list(ElementTree.parse(path).getroot().iter("testcase"))
        except (ElementTree.ParseError, OSError) as error:
            count["failed"] += 1
            failed.append(f"{part}: {path.name} cannot be read ({error}): ctest did not end in order")
            continue
        for case in cases:
            kind = outcome(case)
            count[kind] += 1
            name = case.get("name", "?")
            slow.append((float(case.get("time") or 0), f"{part}: {name}"))
            if kind == "failed":
                failed.append(f"{part}: {name}      again: ctest --preset {part} -R '{name}'")
            elif kind == "skipped":
                skipped.append(f"{part}: {name}: {reason(case)}")
    for path in sorted(folder.glob("*.broken")):
        count["failed"] += 1
        failed.append(path.read_text().strip())
    for path in sorted(folder.glob("times.txt")):
        print("\n" + path.read_text().strip())

    if slow:
        slow.sort(reverse=True)
        print("slowest: " + ", ".join(f"{name} {seconds:.1f} s" for seconds, name in slow[:5]))
    for title, lines in (("SKIPPED:", skipped), ("FAILED:", failed)):
        if lines:
            print(title)
            for line in lines:
                print(f"  {line}")
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 0 if count["passed"] > 0 and count["failed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

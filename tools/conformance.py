#!/usr/bin/env python3
"""conformance.py [--check] [ROOT]: writes docs/conformance.md from docs/conformance.tsv.

A line of the table: NUMBER <tab> STATUS <tab> TEST-OR-ARGUMENT. Several lines may speak of one number.
  covered   TEST proves it, and cites the number in its comment
  partial   TEST proves part of it; " # what is missing" follows the name
  argued    no test can show it; the argument
  n/a       does not concern this implementation; the reason
A number without a line is open. TEST is the name that ctest prints, `pool.PoolReader.DropsAFrame...`, without the parts that
a parametrised suite adds.
--check (a test): every named test exists, cites its number, and docs/conformance.md is what this writes.
"""

import re
import sys
from pathlib import Path

FAMILIES = [
    ("W", 94, "Wire and shared-memory protocol (schema 900)"),
    ("D", 69, "Driver: attach, leases, epochs (schema 901)"),
    ("CFG", 21, "Configuration"),
    ("DS", 42, "Discovery (schema 910)"),
    ("F", 157, "Feeds: requirements"),
    ("G", 6, "Feeds: guarantees"),
    ("X", 25, "Feeds: failures"),
]
FAMILY = "|".join(sorted((name for name, _, _ in FAMILIES), key=len, reverse=True))
STATUSES = ("covered", "partial", "argued", "n/a")
GTEST = re.compile(r"\b(?:TEST|TEST_F|TEST_P|TYPED_TEST|TYPED_TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP|RC_GTEST_TYPED_FIXTURE_PROP)"
                   r"\s*\(\s*(\w+)\s*,\s*(\w+)")
UNITTEST = re.compile(r"^class (\w+)\(|^    def test_(\w+)\(", re.M)  # as tests/stranger/CMakeLists.txt names them
CTEST = re.compile(r"\badd_test\s*\(\s*NAME\s+([^\s)]+)")


def numbers():
    for family, last, _ in FAMILIES:
        for index in range(1, last + 1):
            yield f"{family}-{index}"


def cited(text: str) -> set:
    """All numbers that a text cites: "W-42, W-45", "W-82..W-84", "W-82 to W-84", "W-7/9"."""
    found = set()
    for family, first, rest in re.findall(rf"(?<![\w-])({FAMILY})-(\d+)((?:(?:\s*(?:\.\.\.?|…|–|to|/)\s*)(?:(?:{FAMILY})-)?\d+)*)", text):
        found.add(f"{family}-{first}")
        last = int(first)
        for separator, other in re.findall(rf"(\.\.\.?|…|–|to|/)\s*(?:(?:{FAMILY})-)?(\d+)", rest):
            other = int(other)
            span = range(last, other + 1) if separator != "/" and last < other < last + 40 else [other]
            found.update(f"{family}-{number}" for number in span)
            last = other
    return found


def gtests(text: str):
    """(suite, name, the text that belongs to it: the comment lines right above it, and all up to the next test)"""
    heads = list(GTEST.finditer(text))
    begins = []
    for head in heads:
        begin = text.rfind("\n", 0, head.start()) + 1
        while begin > 0:
            above = text.rfind("\n", 0, begin - 1) + 1
            if not text[above:begin].lstrip().startswith("//"):
                break
            begin = above
        begins.append(begin)
    for index, head in enumerate(heads):
        yield head.group(1), head.group(2), text[begins[index]:begins[index + 1] if index + 1 < len(heads) else len(text)]


def unittests(text: str):
    """(class, name without test_, its text up to the next one) of a Python file"""
    heads, group = list(UNITTEST.finditer(text)), ""
    for index, head in enumerate(heads):
        group = head.group(1) or group
        if head.group(2):
            yield group, head.group(2), text[head.start():heads[index + 1].start() if index + 1 < len(heads) else len(text)]


def tests(root: Path) -> dict:
    """{name: numbers that it cites} over all GoogleTest, Python and ctest names."""
    found = {}
    for path in sorted((root / "tests").rglob("*_test.py")):
        for group, test, text in unittests(path.read_text()):
            found[f"{path.parent.name}.{group}.{test}"] = cited(text)
    for folder in ("src", "tests"):
        for path in sorted((root / folder).rglob("*_test.cc")):
            place = path.parent.relative_to(root / folder).parts
            for suite, test, text in gtests(path.read_text()):
                for name in (f"{suite}.{test}", ".".join((*place[1 if folder == "src" else 0:], suite, test))):
                    found[name] = found.get(name, set()) | cited(text)
        for path in sorted((root / folder).rglob("CMakeLists.txt")):
            near = [file.read_text() for file in sorted(path.parent.rglob("*")) if file.suffix in (".py", ".sh", ".txt", ".cc")]
            for name in CTEST.findall(path.read_text()):
                found[name] = cited("\n".join(near))
    return found


def read_table(path: Path) -> tuple:
    """({number: [(status, what)]}, complaints)"""
    table, complaints = {}, []
    known = set(numbers())
    for index, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t")
        where = f"{path.name}:{index}"
        if len(cells) != 3 or not cells[2].strip():
            complaints.append(f"{where}: expected NUMBER<tab>STATUS<tab>TEST-OR-ARGUMENT")
        elif cells[0] not in known:
            complaints.append(f"{where}: there is no {cells[0]}")
        elif cells[1] not in STATUSES:
            complaints.append(f"{where}: status '{cells[1]}': expected one of {', '.join(STATUSES)}")
        elif cells[1] == "partial" and " # " not in cells[2]:
            complaints.append(f"{where}: partial needs ' # what is missing'")
        else:
            table.setdefault(cells[0], []).append((cells[1], cells[2].strip()))
    return table, complaints


def verdict(lines: list) -> str:
    statuses = {status for status, _ in lines}
    for status in ("partial", "covered", "argued", "n/a"):
        if status in statuses:
            return status
    return "open"


def fuzz_runs(path: Path) -> list:
    out = ["", "## Long runs of the fuzzers", "", "| fuzzer | date | seconds | executions | found |", "|---|---|---|---|---|"]
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            fuzzer, date, seconds, executions, found = line.split("\t")
            out.append(f"| `{fuzzer}` | {date} | {seconds} | {int(executions):,} | {found} |")
    return out


def page(table: dict) -> str:
    out = ["# Conformance", "",
           "Which requirement is proven by which test. Made by `tools/conformance.py` from `docs/conformance.tsv`; a test holds that every",
           "test named here exists and cites its number.", "",
           "| family | covered | partial | argued | n/a | open |", "|---|---|---|---|---|---|"]
    for family, last, title in FAMILIES:
        states = [verdict(table.get(f"{family}-{index}", [])) for index in range(1, last + 1)]
        counts = " | ".join(str(states.count(state)) for state in ("covered", "partial", "argued", "n/a", "open"))
        out.append(f"| {family}-1 to {family}-{last}: {title} | {counts} |")
    for family, last, title in FAMILIES:
        out += ["", f"## {family}: {title}", "", "| number | status | test, or argument |", "|---|---|---|"]
        for index in range(1, last + 1):
            number = f"{family}-{index}"
            lines = table.get(number, [])
            cells = []
            for status, what in lines:
                name, _, missing = what.partition(" # ")
                cell = f"`{name}`" if status in ("covered", "partial") else what
                cells.append(f"{cell} (missing: {missing})" if missing else cell)
            out.append(f"| {number} | {verdict(lines)} | {'<br>'.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(out) + "\n"


def check_tests(table: dict, known: dict) -> list:
    complaints = []
    for number, lines in table.items():
        for status, what in lines:
            if status not in ("covered", "partial"):
                continue
            name = what.partition(" # ")[0].strip()
            if name not in known:
                complaints.append(f"{number}: there is no test {name}")
            elif number not in known[name]:
                complaints.append(f"{number}: {name} does not cite it in its comment")
    return complaints


def main() -> int:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    arguments = [argument for argument in sys.argv[1:] if argument != "--check"]
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    source, target = root / "docs" / "conformance.tsv", root / "docs" / "conformance.md"
    table, complaints = read_table(source)
    complaints += check_tests(table, tests(root))
    text = page(table)
    if (root / "docs" / "fuzz-runs.tsv").exists():
        text += "\n".join(fuzz_runs(root / "docs" / "fuzz-runs.tsv")) + "\n"
    if "--check" in sys.argv:
        if not target.exists() or target.read_text() != text:
            complaints.append("docs/conformance.md is not what docs/conformance.tsv says: run tools/conformance.py")
    else:
        target.write_text(text)
    for line in complaints:
        print(line)
    print(f"{len(complaints)} faults" if complaints else f"{len(table)} of {len(list(numbers()))} requirements have a line")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""check_layers.py [ROOT]: holds the source to its map.

The table in src/tidepool/README.md says which folder may include which; it is the only place where that is written. Held:
  - every #include "tidepool/..." and every DEPENDS of tidepool_layer() against the table
  - outside libraries stay in the folder that they serve, generated codecs in wire/
  - atomics and memory orders stay in shm/ (and in the files listed below with a reason); tests may use what they like
Prints one line for each fault, with what to do; exit code 1 if there is any.
"""

import re
import sys
from pathlib import Path

# Atomics outside shm/, all on memory that one process has to itself, but for Aeron's counters. A new line here needs a reason as good.
ATOMICS_ALLOWED = {
    "base/agent.h": "the runner's stop and running flags",
    "base/agent.cc": "the runner's stop and running flags",
    "pool/epoch_map.h": "alive(): a flag that revocation clears on another thread of this process",
    "pool/pool_reader.cc": "the counter of tensor images, unique in this process",
    "cli/signals.cc": "what a signal handler may touch",
    "transport/connection.cc": "flags between the application's thread and Aeron's conductor in this process",
    "transport/connection_impl.h": "the same flags",
    "transport/counters.cc": "stores into Aeron's counters file",
    "transport/subscription.cc": "the same flags",
    "client/handover.h": "what the conductor's thread hands to a producer's or consumer's: each pair named there",
    "client/conductor.h": "inbox_full_: spares the conductor a lock in each cycle",
    "client/conductor.cc": "inbox_full_",
    "client/attach.cc": "the counter of correlation ids",
    "feed/reader_impl.h": "cancel(): a flag that another thread of this process sets",
    "feed/one_thread.h": "which thread is inside a handle, in builds that check it",
    "feed/writer_impl.h": "the counter of callbacks that threw, from the writer's threads",
    "feed/event_feed.h": "the counter of dropped events, from the threads of any number of writers",
}
ATOMIC = re.compile(r"\bmemory_order|\bstd::atomic|#\s*include\s*<(?:std)?atomic(?:\.h)?>|\b__atomic_|\b__sync_|\batomic_(?:thread|signal)_fence")

# An include of a library belongs to these folders. Tests and fuzzers may use any: they are not the product.
LIBRARIES = {
    "CLI11": (re.compile(r"<CLI/"), {"cli"}),
    "spdlog": (re.compile(r"<spdlog/"), {"cli"}),
    "fmt": (re.compile(r"<fmt/"), {"cli"}),
    "toml++": (re.compile(r"<toml\+\+"), {"cli"}),
    "nlohmann_json": (re.compile(r"<nlohmann/"), {"cli"}),
    "HdrHistogram": (re.compile(r"<hdr/|<hdr_histogram"), {"cli"}),
    "Aeron": (re.compile(r'[<"](?:Aeron\.h|aeron|AeronVersion|concurrent/|command/|util/|ChannelUri|Publication|Subscription|Context\.h)'), {"transport", "cli"}),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"][^>"]+[>"])')


class MapError(Exception):
    pass


def read_map(readme: Path) -> dict:
    """The table of the README as {folder: set of folders}, or None for "anything"."""
    allowed = {}
    for line in readme.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not re.fullmatch(r"`\w+/`", cells[0]):
            continue
        folder, may = cells[0].strip("`/"), cells[2]
        allowed[folder] = None if may == "anything" else set() if may == "nothing of ours" else set(may.split())
    if not allowed:
        raise MapError(f"{readme}: no table of folders found")
    for folder, may in allowed.items():
        for other in may or ():
            if other not in allowed:
                raise MapError(f"{readme}: {folder}/ may include '{other}', which is no folder of the table")
    return allowed


def without_comments(text: str) -> str:
    """Comments and string literals blanked, line numbers kept; #include lines keep their quotes."""

    def blank(match):
        token = match.group(0)
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        return token[0] + " " * (len(token) - 2) + token[-1]

    lines = []
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
    includes = {number: line for number, line in enumerate(text.splitlines()) if INCLUDE.match(line)}
    for number, line in enumerate(pattern.sub(blank, text).splitlines()):
        lines.append(includes.get(number, line))
    return "\n".join(lines)


def is_test(path: Path) -> bool:
    return path.name.endswith(("_test.cc", "_fuzz.cc", "_test.h")) or path.name.startswith("test_")


def check(root: Path) -> list:
    src = root / "src" / "tidepool"
    allowed = read_map(src / "README.md")
    faults = []

    def fault(path, number, text):
        faults.append(f"{path.relative_to(root)}:{number}: {text}")

    def arrow(path, number, layer, other, what):
        if other == layer or allowed[layer] is None or other in allowed[layer]:
            return
        may = " ".join(sorted(allowed[layer])) or "nothing of ours"
        fault(path, number, f"{layer}/ may not {what} {other}/ (it may: {may}; the map is src/tidepool/README.md)")

    for path in sorted(src.rglob("*")):
        relative = path.relative_to(src)
        if path.suffix not in (".h", ".cc") and path.name != "CMakeLists.txt" or "generated" in relative.parts:
            continue
        if len(relative.parts) == 1:
            continue  # client.h, the umbrella, and the list of folders
        layer = relative.parts[0]
        if layer not in allowed:
            fault(path, 1, f"folder {layer}/ is not in the table of src/tidepool/README.md: add it with what it may include")
            continue
        text = path.read_text()
        if path.name == "CMakeLists.txt":
            for match in re.finditer(r"\bDEPENDS\s+((?:[a-z_/]+\s*)+)", text):
                number = text.count("\n", 0, match.start()) + 1
                for other in match.group(1).split():
                    arrow(path, number, layer, other.split("/")[0], "depend on")
            continue
        atomics_said = relative.as_posix() in ATOMICS_ALLOWED or layer == "shm" or is_test(path)
        for number, line in enumerate(without_comments(text).splitlines(), 1):
            include = INCLUDE.match(line)
            if include:
                target = include.group(1)
                inner = target[1:-1]
                if inner.startswith("tidepool/"):
                    if target[0] == "<":
                        fault(path, number, f'write #include "{inner}": quotes are for our own headers')
                    parts = inner.split("/")
                    if not (src.parent / inner).exists():
                        fault(path, number, f"there is no src/{inner}")
                    elif len(parts) == 2:
                        if allowed[layer] is not None and not is_test(path):
                            fault(path, number, f"{inner} is for programs; include the layer's own header")
                    else:
                        arrow(path, number, layer, parts[1], "include")
                        if parts[2] == "generated" and layer != "wire":
                            fault(path, number, "generated codecs are wire/'s own: use wire/messages.h")
                elif target[0] == '"' and (path.parent / inner).exists():
                    fault(path, number, f'write #include "tidepool/{relative.parent.as_posix()}/{inner}": paths start at src/')
                elif not is_test(path):
                    for library, (pattern, folders) in LIBRARIES.items():
                        if pattern.match(target) and layer not in folders:
                            fault(path, number, f"{library} belongs to {' and '.join(sorted(folders))}/ (docs/architecture.md)")
            if not atomics_said and ATOMIC.search(line):
                atomics_said = True  # once a file is enough
                fault(path, number, "atomics live in shm/, behind types of two or three verbs; for memory of one process, list the "
                                    "file with its reason in tools/check_layers.py")
    for listed in ATOMICS_ALLOWED:
        if not (src / listed).exists() or not ATOMIC.search(without_comments((src / listed).read_text())):
            faults.append(f"tools/check_layers.py: {listed} is listed for atomics and has none: take the line out")
    return faults


def main() -> int:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    try:
        faults = check(root)
    except MapError as error:
        faults = [str(error)]
    for line in faults:
        print(line)
    print(f"{len(faults)} faults" if faults else "includes, libraries and atomics are where the map puts them")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

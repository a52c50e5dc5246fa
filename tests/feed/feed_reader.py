#!/usr/bin/env python3
"""feed_reader.py [--json] [--live] [--blobs] BASE FEED: reads a feed from its files, by docs/formats/feed-*.md alone.

An independent second implementation that proves the format pages: it shares no code with tidepool and imports nothing but the
standard library. Checks every checksum that it passes. Without --live it looks at disk alone, as after a power cut.

As a program it prints one JSON object: chunks, records, the SHA-256 of all records in order, epochs, losses and complaints;
exit code 1 if there are complaints. With --blobs, every payload that a row refers to is looked up too.

feed_reader.py --serve: the same for each line of arguments that it reads, tab-separated, one line of JSON each, until there are no more.
"""

import functools
import hashlib
import json
import os
import struct
import sys
from pathlib import Path

PAIR = struct.Struct("<H")
TABLE = []
for _byte in range(256):
    _crc = _byte
    for _ in range(8):
        _crc = _crc >> 1 ^ (0x82F63B78 if _crc & 1 else 0)
    TABLE.append(_crc)
TWICE = [TABLE[TABLE[i & 0xFF] & 0xFF ^ i >> 8] ^ TABLE[i & 0xFF] >> 8 for i in range(65536)]  # of two bytes at once


@functools.lru_cache(maxsize=1 << 16)  # many looks at files that hardly change
def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    twice = TWICE
    even = len(data) & ~1
    for (pair,) in PAIR.iter_unpack(data[:even]):
        crc = crc >> 16 ^ twice[(crc ^ pair) & 0xFFFF]
    if even != len(data):
        crc = crc >> 8 ^ TABLE[(crc ^ data[even]) & 0xFF]
    return crc ^ 0xFFFFFFFF


def u16(data, at):
    return struct.unpack_from("<H", data, at)[0]


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


class Damaged(Exception):
    pass


def counter_mark(path):
    """Of this boot and this file."""
    boot, found = boot_id(), os.stat(path)
    return struct.pack("<2Q", u64(boot, 0) ^ found.st_ino, u64(boot, 8) ^ found.st_dev)


def boot_id():
    return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))


def read_log(path, magic, entry_bytes):
    """(header, [(position, entry bytes)], complaints)"""
    data = Path(path).read_bytes()
    if len(data) < 4096 or data[:8] != magic:
        raise Damaged(f"{path}: no registry")
    if u16(data, 8) != 1:
        raise Damaged(f"{path}: format {u16(data, 8)}")
    if crc32c(data[:124]) != u32(data, 124) or u32(data, 12) != entry_bytes:
        raise Damaged(f"{path}: header")
    count = u64(data, 256)
    entries, doubtful, complaints = [], [], []
    slots = (len(data) - 4096) // entry_bytes
    if data[272:288] == counter_mark(path) and u64(data, 264) == count ^ (2**64 - 1):
        slots = min(slots, count)  # counted here: what lies behind was never counted
    for position in range(slots):
        entry = data[4096 + position * entry_bytes:4096 + (position + 1) * entry_bytes]
        if not any(entry):
            continue  # never written, or lost by a power cut before it was synced
        if crc32c(entry[4:]) != u32(entry, 0) or u64(entry, 8) != position:
            doubtful.append(position)
            continue
        complaints += [f"{path}: entry {at} is damaged" for at in doubtful]
        doubtful = []
        entries.append((position, entry))
    complaints += [f"{path}: entry {at} is damaged" for at in doubtful if at < count]
    return data[:4096], entries, complaints


def feeds(base):
    """{name: {...}} of the feeds that exist, and complaints."""
    header, entries, complaints = read_log(Path(base) / "registry.bin", b"TPFEEDS1", 512)
    found = {}
    for _, entry in entries:
        kind = u16(entry, 4)
        name = entry[136:136 + u16(entry, 132)].decode("ascii")
        feed = {"name": name, "id": entry[24:40], "base_id": header[16:32], "storage": entry[40], "layout": entry[41],
                "clocks": entry[42], "record_bytes": u32(entry, 112), "schema_hash": u64(entry, 104), "schema_id": max(1, u32(entry, 116)),
                "shm_root": entry[264:264 + u16(entry, 134)].decode(), "directory": Path(base) / "feeds" / name, "entry": entry}
        if kind in (1, 2):
            before = found.get(name)
            feed["definitions"] = [entry[24:384]] + (before["definitions"] if before and before["id"] == feed["id"] else [])
            found[name] = feed
        elif kind == 4 and name in found and found[name]["id"] == feed["id"]:
            del found[name]
    return found, complaints


def schema(block):
    if block[:8] != b"TPSCHEM1" or u16(block, 8) != 1:
        raise Damaged("schema block: no magic or another version")
    length = u32(block, 20)
    if length > len(block) or crc32c(block[:length - 4]) != u32(block, length - 4):
        raise Damaged("schema block: checksum")
    fields, at = [], 80
    for _ in range(u16(block, 10)):
        name_bytes, text_bytes, more_bytes = u16(block, at + 2), u16(block, at + 16), u16(block, at + 18)
        text_at = at + 20 + name_bytes
        field = {"type": block[at], "count": u32(block, at + 4), "offset": u32(block, at + 8), "bytes": u32(block, at + 12),
                 "name": block[at + 20:text_at].decode(), "description": block[text_at:text_at + text_bytes].decode(), "names": {}}
        more = block[text_at + text_bytes:text_at + text_bytes + more_bytes]
        while more:
            tag, size = u16(more, 0), u16(more, 2)
            if 4 + size > len(more):
                raise Damaged("schema block: more of a field")
            if tag == 1:
                field["unit"] = more[4:4 + size].decode()
            elif tag == 2:
                field["names"][struct.unpack_from("<q", more, 4)[0]] = more[12:4 + size].decode()
            more = more[4 + size:]
        fields.append(field)
        at = text_at + text_bytes + more_bytes
    clocks = [block[32 + 16 * k:35 + 16 * k] for k in range(block[17])]
    align = 1 << block[19]
    value = 0xCBF29CE484222325
    parts = struct.pack("<BBII", block[16], block[17], u32(block, 12), align) + b"".join(clocks)
    for field in fields:
        name = field["name"].encode()
        parts += struct.pack("<BIIH", field["type"], field["count"], field["offset"], len(name)) + name
    for byte in parts:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    if value != u64(block, 24):
        raise Damaged("schema block: hash")
    if at != length - 4:
        raise Damaged("schema block: bytes after the last field")
    return {"layout": block[16], "clocks": block[17], "record_bytes": u32(block, 12), "align": align, "fields": fields, "hash": value}


def never_synced(path):
    """The file of an open chunk whose power failed before its first sync: its first page is not there."""
    with open(path, "rb") as file:
        head = file.read(4096)
    return len(head) < 4096 or not any(head)


class Chunk:
    def __init__(self, path, feed):
        self.path, self.complaints = path, []
        self.data = data = Path(path).read_bytes()
        if len(data) < 4096 or data[:8] != b"TPCHUNK1" or u16(data, 8) != 1 or crc32c(data[:252]) != u32(data, 252):
            raise Damaged(f"{path}: header")
        if data[32:48] != feed["id"] or data[16:32] != feed["base_id"] or feed["versions"].get(u32(data, 72)) != u64(data, 64):
            raise Damaged(f"{path}: of another feed")
        self.ordinal, self.epoch, self.layout, self.clocks = u64(data, 48), u64(data, 56), data[76], data[77]
        self.align, self.record_bytes, self.block_bytes = 1 << data[78], u32(data, 80), u32(data, 84)
        self.capacity, self.data_offset, self.tag = u64(data, 88), u64(data, 96), u64(data, 120)
        self.boot_id = data[136:152]
        self.table_offset = u32(data, 112)
        self.schema, self.schema_problem = None, None
        try:
            if len(data) >= self.data_offset:
                self.schema = schema(data[u32(data, 104):u32(data, 104) + u32(data, 108)])
        except Damaged as problem:  # it is on a page of its own, and may be missing until the first sync
            self.schema_problem = problem
        if self.schema and self.schema["hash"] != u64(data, 64):
            raise Damaged(f"{path}: schema")
        self.activated = crc32c(data[448:476]) == u32(data, 476) and u64(data, 464) == self.tag
        self.first_seq = u64(data, 448)
        self.footer = self._footer()
        self.end = 0

    def _footer(self):
        data = self.data
        if len(data) < self.data_offset + 280 or data[-8:] != b"TPHKEND1":
            return None
        length = u64(data, len(data) - 16)
        if length < 280 or length > len(data) - self.data_offset:
            return None
        foot = data[-length:]
        blocks = u64(foot, 136)
        used = u64(foot, 64)
        if (foot[:8] != b"TPCFOOT1" or u64(foot, 8) != length or crc32c(foot[:-24]) != u32(foot, length - 24) or foot[16:32] != data[32:48]
                or u64(foot, 32) != self.ordinal or blocks != -(-used // self.block_bytes)
                or len(data) - length != -(-(self.data_offset + used) // 64) * 64):
            return None
        bounds = [(u64(foot, 88 + 16 * k), u64(foot, 96 + 16 * k)) for k in range(self.clocks)]
        return {"first_seq": u64(foot, 48), "count": u64(foot, 56), "bytes": used, "bounds": bounds, "unordered": u32(foot, 80),
                "crcs": [u32(foot, 256 + 4 * i) for i in range(blocks)]}

    def _block(self, index, end):
        begin = self.data_offset + index * self.block_bytes
        return self.data[begin:min(begin + self.block_bytes, self.data_offset + end)]

    def settle(self):
        """Where the records end, as the page says for a file whose live object is gone."""
        if self.footer:
            self.first_seq, self.end = self.footer["first_seq"], self.footer["bytes"]
            for index, crc in enumerate(self.footer["crcs"]):
                if crc32c(self._block(index, self.end)) != crc:
                    self.complaints.append(f"{self.path}: block {index} is damaged")
            return
        slots = []
        for at in (512, 1024):
            slot = self.data[at:at + 64]
            if u64(slot, 0) and crc32c(slot[:60]) == u32(slot, 60):
                slots.append((u64(slot, 0), u64(slot, 8), u32(slot, 32)))
        for _, end, tail in sorted(slots, reverse=True):
            whole = end // self.block_bytes
            if end > self.capacity or self.data_offset + end > len(self.data):
                continue
            good = all(crc32c(self._block(i, end)) == u32(self.data, self.table_offset + 4 * i) for i in range(whole))
            rest = self.data[self.data_offset + whole * self.block_bytes:self.data_offset + end]
            if good and crc32c(rest) == tail:
                self.end = end
                return

    def live(self):
        """The same for a live object: its commit word."""
        self.end = min(u64(self.data, 256), self.capacity)
        if self.record_bytes:
            self.end -= self.end % self.record_bytes

    def records(self):
        """(seq, clocks, bytes) of each"""
        at, seq = 0, self.first_seq
        while at < self.end:
            begin = self.data_offset + at
            if self.layout == 1:
                row = self.data[begin:begin + self.record_bytes]
                yield seq, [u64(row, 8 * k) for k in range(self.clocks)], row
                at += self.record_bytes
            else:
                head = self.data[begin:begin + 64]
                length, meta = u64(head, 0), u16(head, 58)
                payload = -(-(64 + meta) // self.align) * self.align
                if crc32c(head[:60]) != u32(head, 60) or u64(head, 8) != seq or length < payload or at + length > self.end:
                    self.complaints.append(f"{self.path}: frame {seq} is damaged")
                    return
                yield seq, [u64(head, 16 + 8 * k) for k in range(self.clocks)], self.data[begin + payload:begin + length]
                at += -(-length // self.align) * self.align
            seq += 1


def check_index(chunk, records, feed):
    """Complaints about the index file of a chunk, if there is one."""
    path = Path(str(chunk.path).replace(".data", ".idx"))
    if not path.exists():
        return []
    data = path.read_bytes()
    if (len(data) < 256 or data[:8] != b"TPPINDX1" or crc32c(data[:124]) != u32(data, 124) or data[32:48] != feed["id"] or u64(data, 48) != chunk.ordinal
            or u64(data, 64) != chunk.first_seq or u64(data, 72) != chunk.tag):
        return [f"{path}: header"]
    count = u64(data, 128)
    if len(data) != 256 + 128 * count:
        return [f"{path}: length"]
    highest, at = [0] * chunk.clocks, 0
    for i in range(count):
        entry = data[256 + 128 * i:384 + 128 * i]
        mine = records[at:at + u32(entry, 16)]
        if crc32c(entry[4:]) != u32(entry, 0) or not mine or u64(entry, 8) != mine[0][0]:
            return [f"{path}: entry {i}"]
        for k in range(chunk.clocks):
            times = [clocks[k] for _, clocks, _ in mine]
            highest[k] = max([highest[k], *times])
            if (u64(entry, 40 + 16 * k), u64(entry, 48 + 16 * k), u64(entry, 88 + 8 * k)) != (min(times), max(times), highest[k]):
                return [f"{path}: times of entry {i}"]
        if chunk.layout == 2 and crc32c(mine[0][2]) != u32(entry, 20):
            return [f"{path}: payload of entry {i}"]
        at += len(mine)
    return [] if at == len(records) else [f"{path}: records are missing"]


def versions(feed):
    """{schema_id: hash}, each adding to the one before"""
    found, before = {}, None
    for number in range(1, feed["schema_id"] + 1):
        block = schema((feed["directory"] / ("schema.bin" if number == 1 else f"schema-{number}.bin")).read_bytes())
        if before and any((a["name"], a["type"], a["count"], a["offset"]) != (b["name"], b["type"], b["count"], b["offset"])
                          for a, b in zip(before["fields"], block["fields"], strict=False)):
            raise Damaged(f"version {number} of the schema changes what was there")
        found[number], before, feed["schema"] = block["hash"], block, block
    if found[feed["schema_id"]] != feed["schema_hash"]:
        raise Damaged("the schema is not the one that the registry names")
    return found


WORDS = ["_chunk_id", "_offset", "_size", "_codec", "_schema_id", "_flags", "_crc"]


def blob_columns(fields):
    """{column: offset of its reference}"""
    found = {}
    for i in range(len(fields) - 6):
        column = fields[i]["name"].removesuffix("_chunk_id")
        if [field["name"] for field in fields[i:i + 7]] == [column + word for word in WORDS] and all(field["type"] == 12 for field in fields[i:i + 7]):
            found[column] = fields[i]["offset"]
    return found


def read_blobs(base, name, live=False):
    """Every payload that a row refers to, by docs/formats/feed-blob.md: how many, their bytes, and what is wrong."""
    rows = read_feed(base, name, live)
    known, _ = feeds(base)
    feed = known[name]
    count, size, complaints, digest = 0, 0, [], hashlib.sha256()
    versions(feed)
    for column, at in blob_columns(feed["schema"]["fields"]).items():
        blob_name = f"{name}.blob.{column}"
        blobs = read_feed(base, blob_name, live)
        complaints += blobs["complaints"]
        known[blob_name]["versions"] = versions(known[blob_name])
        if known[blob_name]["schema"]["fields"][0]["description"] != f"payloads of column {column} of feed {feed['id'].hex()}":
            complaints.append(f"{blob_name} is not of this feed")
            continue
        for info in rows["chunks"].values():
            for seq, _, row in info.get("records", []):
                chunk_id, offset, length, codec, _, flags, crc = struct.unpack_from("<7Q", row, at)
                if not flags & 1:
                    continue
                chunk = blobs["chunks"].get(chunk_id, {}).get("chunk")
                payload = chunk.data[chunk.data_offset + offset:chunk.data_offset + min(offset + length, chunk.end)] if chunk else b""
                if len(payload) != length or crc32c(payload) != crc or codec > 4:
                    complaints.append(f"row {seq}: its {column} in chunk {chunk_id} at {offset} is missing or damaged")
                    continue
                count, size = count + 1, size + length
                digest.update(payload)
    return {"blobs": count, "blob_bytes": size, "blob_sha256": digest.hexdigest(), "complaints": rows["complaints"] + complaints}


def read_feed(base, name, live=False):
    known, complaints = feeds(base)
    feed = known[name]
    header, entries, more = read_log(feed["directory"] / "feed_registry.bin", b"TPLFREG1", 256)
    complaints += more
    if header[32:48] != feed["id"]:
        raise Damaged("the registry is of another feed")
    feed["versions"] = versions(feed)
    definition = (feed["directory"] / "definition.bin").read_bytes()
    # It is written behind the entry: of a feed that was being changed it may be an older one, which repair writes anew.
    if (len(definition) != 512 or crc32c(definition[4:]) != u32(definition, 0) or definition[24:384] not in feed["definitions"]
            or definition[384:400] != feed["base_id"]):
        complaints.append("definition.bin is not what registry.bin says or said")
    chunks, epochs, losses, segments = {}, [], [], []
    for _, entry in entries:
        kind, epoch, ordinal = u16(entry, 4), u64(entry, 24), u64(entry, 32)
        row = {"state": kind, "epoch": epoch, "first_seq": u64(entry, 40), "count": u64(entry, 48), "bytes": u64(entry, 56), "tag": u64(entry, 120),
               "bounds": [(u64(entry, 64 + 16 * k), u64(entry, 72 + 16 * k)) for k in range(feed["clocks"])]}
        if kind == 1:
            epochs.append((epoch, u64(entry, 40)))
        elif 3 <= kind <= 8:
            chunks[ordinal] = {**chunks.get(ordinal, {}), **(row if kind in (3, 4, 5) else {"state": kind})}
        elif kind == 10:
            segments.append((u64(entry, 40), u64(entry, 48), u64(entry, 128)))
        elif kind == 12:
            losses.append((u64(entry, 40), u64(entry, 48)))
    live_directory = Path(feed["shm_root"]) / "tidepool-{}-{}-{}".format(feed["base_id"].hex(), feed["id"].hex(), os.stat(feed["directory"]).st_ino)
    boot = boot_id()
    digest, count, next_seq, first, shown, quarantined = hashlib.sha256(), 0, None, None, [], 0
    for ordinal in sorted(chunks):
        info = chunks[ordinal]
        if info["state"] == 8 and info.get("count"):  # in quarantine: a gap, and told
            first = info["first_seq"] if first is None else first
            quarantined += info["count"]
            next_seq = info["first_seq"] + info["count"]
        if info["state"] not in (3, 4, 5):
            continue
        file_name = f"{ordinal:016x}.data"
        chunk = None
        if live and (live_directory / file_name).exists():
            try:
                candidate = Chunk(live_directory / file_name, feed)
                if candidate.boot_id == boot and candidate.tag == info["tag"]:
                    words = candidate
                    if len(candidate.data) < candidate.data_offset + candidate.capacity:  # durable: the words alone
                        candidate = Chunk(feed["directory"] / file_name, feed)
                        candidate.data = words.data[:512] + candidate.data[512:]
                        candidate.activated, candidate.first_seq = words.activated, words.first_seq
                    chunk = candidate
                    if chunk.footer:
                        chunk.settle()
                    else:
                        chunk.live()
            except (Damaged, FileNotFoundError):
                chunk = None
        if chunk is None:
            if not (feed["directory"] / file_name).exists():
                if info["state"] != 3:
                    complaints.append(f"chunk {ordinal} is missing")
                continue
            if info["state"] == 3 and never_synced(feed["directory"] / file_name):
                continue
            chunk = Chunk(feed["directory"] / file_name, feed)
            chunk.settle()
            if chunk.end and chunk.schema_problem:
                complaints.append(f"{chunk.path}: {chunk.schema_problem}")
        if not chunk.activated and not chunk.footer:
            continue
        if chunk.tag != info["tag"] or chunk.epoch != info["epoch"]:
            complaints.append(f"{chunk.path}: another chunk than the registry says")
        records = list(chunk.records())
        complaints += chunk.complaints
        if info["state"] != 3 and (chunk.first_seq, len(records), chunk.end) != (info["first_seq"], info["count"], info["bytes"]):
            complaints.append(f"{chunk.path}: holds {len(records)} records from {chunk.first_seq}, the registry says {info['count']} from {info['first_seq']}")
        if chunk.footer and (len(records) != chunk.footer["count"] or any(
                chunk.footer["bounds"][k] != (min(r[1][k] for r in records), max(r[1][k] for r in records)) for k in range(chunk.clocks))):
            complaints.append(f"{chunk.path}: the footer contradicts the records")
        if chunk.footer and info["state"] == 5:
            complaints += check_index(chunk, records, feed)
        if records:
            if next_seq is not None and chunk.first_seq != next_seq:
                complaints.append(f"records {next_seq} to {chunk.first_seq} are missing")
            first = chunk.first_seq if first is None else first
            next_seq = chunk.first_seq + len(records)
        for seq, clocks, record in records:
            digest.update(record)
            count += 1
            if len(shown) < 3:
                shown.append((seq, clocks, record[:32].hex()))
        info["records"], info["chunk"] = records, chunk
    return {"feed": name, "first_seq": first or 0, "next_seq": next_seq or 0, "count": count, "quarantined": quarantined, "sha256": digest.hexdigest(), "epochs": epochs, "losses": losses,
            "segments": segments, "first": shown, "complaints": complaints, "chunks": chunks}


def look(words):
    base, feed = (word for word in words if not word.startswith("--"))
    result = read_feed(base, feed, "--live" in words)
    result["chunks"] = len(result["chunks"])
    if "--blobs" in words:
        result.update(read_blobs(base, feed, "--live" in words))
    return result


def serve():
    for line in sys.stdin:
        try:
            answer = look(line.rstrip("\n").split("\t"))
        except Exception as error:  # whoever asks decides what that means
            answer = {"complaints": [f"{type(error).__name__}: {error}"]}
        print(json.dumps(answer), flush=True)


def main():
    if "--serve" in sys.argv:
        return serve()
    result = look(sys.argv[1:])
    print(json.dumps(result))
    return 1 if result["complaints"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""The messages of schemas 900, 901 and 910, packed and unpacked by hand from the tables of the protocol's documents.

encode(NAME, field=value, ...) gives the bytes of a message; what is not given is its null, 0 or empty. Its keywords with an
underscore make what a newer or a careless sender might send. decode(bytes) gives (name, fields) or throws Ignored (not ours
to read: another schema, template, version) or Malformed.
"""

import struct

NULL8, NULL16, NULL32, NULL64 = 0xFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
OK, UNSUPPORTED, INVALID_PARAMS, REJECTED, INTERNAL_ERROR = range(5)
PRODUCER, CONSUMER = 1, 2
REQUIRE_EXISTING, EXISTING_OR_CREATE = 1, 2
DETACHED, EXPIRED, REVOKED = 1, 2, 3
STREAM, RATE_LIMITED = 1, 2
MONOTONIC, REALTIME_SYNCED = 1, 2
STARTED, PROGRESS, COMPLETE = 1, 2, 3
FOUND, NOT_FOUND, ERROR = 1, 2, 3  # DiscoveryStatus: OK is FOUND here


class Ignored(Exception):
    """Not a message for us: a runt, another schema, an unknown template, another version."""


class Malformed(Exception):
    """Ours, and broken: to be dropped whole."""


class Group:
    def __init__(self, name, fields, parts=()):
        self.name, self.fields, self.parts = name, _fields(fields), parts
        self.block = struct.calcsize("<" + "".join(kind for _, kind, _ in self.fields))


class Text:
    """Var data: u32 length, bytes."""

    def __init__(self, name):
        self.name = name


class Layout:
    def __init__(self, schema, template, name, block, fields, parts=()):
        self.schema, self.template, self.name, self.block, self.fields, self.parts = schema, template, name, block, _fields(fields), parts
        size = struct.calcsize("<" + "".join(kind for _, kind, _ in self.fields))
        assert size == block, f"{name}: {size} is not {block}"


def _fields(text):
    """"streamId:I epoch:Q=0xff": (name, struct letter, what is sent if nothing is given)"""
    out = []
    for part in text.split():
        name, _, kind = part.partition(":")
        kind, _, default = kind.partition("=")
        out.append((name, kind, int(default, 0) if default else 0))
    return out


_POOLS = Group("payloadPools", "poolId:H poolNslots:I strideBytes:I", (Text("regionUri"),))
_N32, _N64 = f"={NULL32}", f"={NULL64}"

LAYOUTS = [
    Layout(900, 1, "ShmPoolAnnounce", 35, "streamId:I producerId:I epoch:Q announceTimestampNs:Q announceClockDomain:B=1 layoutVersion:I=1 "
           "headerNslots:I headerSlotBytes:H=256", (_POOLS, Text("headerRegionUri"))),
    Layout(900, 2, "ConsumerHello", 39, "streamId:I consumerId:I supportsShm:B=1 supportsProgress:B mode:B=1 maxRateHz:I "
           f"expectedLayoutVersion:I=1 progressIntervalUs:I{_N32} progressBytesDelta:I{_N32} progressMajorDeltaUnits:I{_N32} "
           "descriptorStreamId:I controlStreamId:I", (Text("descriptorChannel"), Text("controlChannel"))),
    Layout(900, 3, "ConsumerConfig", 18, "streamId:I consumerId:I useShm:B=1 mode:B=1 descriptorStreamId:I controlStreamId:I",
           (Text("payloadFallbackUri"), Text("descriptorChannel"), Text("controlChannel"))),
    Layout(900, 4, "FrameDescriptor", 40, f"streamId:I epoch:Q seq:Q timestampNs:Q{_N64} metaVersion:I{_N32} traceId:Q"),
    Layout(900, 5, "QosConsumer", 41, "streamId:I consumerId:I epoch:Q lastSeqSeen:Q dropsGap:Q dropsLate:Q mode:B=1"),
    Layout(900, 6, "QosProducer", 28, f"streamId:I producerId:I epoch:Q currentSeq:Q watermark:I{_N32}"),
    Layout(900, 7, "DataSourceAnnounce", 20, "streamId:I producerId:I epoch:Q metaVersion:I", (Text("name"), Text("summary"))),
    Layout(900, 8, "DataSourceMeta", 16, "streamId:I metaVersion:I timestampNs:Q",
           (Group("attributes", "", (Text("key"), Text("format"), Text("value"))),)),
    Layout(900, 9, "ControlResponse", 12, "correlationId:q code:i", (Text("errorMessage"),)),
    Layout(900, 10, "MetaBlobAnnounce", 28, "streamId:I metaVersion:I blobType:I totalLen:Q checksum:Q"),
    Layout(900, 11, "FrameProgress", 29, "streamId:I epoch:Q seq:Q payloadBytesFilled:Q state:B"),
    Layout(900, 12, "MetaBlobChunk", 16, "streamId:I metaVersion:I chunkOffset:Q", (Text("bytes"),)),
    Layout(900, 13, "MetaBlobComplete", 16, "streamId:I metaVersion:I checksum:Q"),
    Layout(901, 1, "ShmAttachRequest", 27, "correlationId:q streamId:I clientId:I role:B expectedLayoutVersion:I=1 "
           f"publishMode:B={NULL8} requireHugepages:B desiredNodeId:I{_N32}"),
    Layout(901, 2, "ShmAttachResponse", 54, f"correlationId:q code:i leaseId:Q{_N64} leaseExpiryTimestampNs:Q{_N64} streamId:I{_N32} "
           f"epoch:Q{_N64} layoutVersion:I{_N32} headerNslots:I{_N32} headerSlotBytes:H={NULL16} nodeId:I{_N32}",
           (_POOLS, Text("headerRegionUri"), Text("errorMessage"))),
    Layout(901, 3, "ShmDetachRequest", 25, "correlationId:q leaseId:Q streamId:I clientId:I role:B"),
    Layout(901, 4, "ShmDetachResponse", 12, "correlationId:q code:i", (Text("errorMessage"),)),
    Layout(901, 5, "ShmLeaseKeepalive", 25, "leaseId:Q streamId:I clientId:I role:B clientTimestampNs:Q"),
    Layout(901, 6, "ShmDriverShutdown", 9, "timestampNs:Q reason:B", (Text("errorMessage"),)),
    Layout(901, 7, "ShmLeaseRevoked", 26, "timestampNs:Q leaseId:Q streamId:I clientId:I role:B reason:B", (Text("errorMessage"),)),
    Layout(901, 8, "ShmDriverShutdownRequest", 9, "correlationId:q reason:B", (Text("token"), Text("errorMessage"))),
    Layout(910, 1, "DiscoveryRequest", 32, f"requestId:Q clientId:I responseStreamId:I streamId:I{_N32} producerId:I{_N32} "
           f"dataSourceId:Q{_N64}", (Group("tags", "", (Text("tag"),)), Text("responseChannel"), Text("dataSourceName"))),
    Layout(910, 2, "DiscoveryResponse", 9, "requestId:Q status:B=1",
           (Group("results", "streamId:I producerId:I epoch:Q layoutVersion:I=1 headerNslots:I headerSlotBytes:H=256 maxDims:B=8 "
                  f"dataSourceId:Q{_N64} driverControlStreamId:I", (_POOLS, Group("tags", "", (Text("tag"),)), Text("headerRegionUri"),
                                                                   Text("dataSourceName"), Text("driverInstanceId"),
                                                                   Text("driverControlChannel"))),
            Text("errorMessage"))),
]
BY_NAME = {layout.name: layout for layout in LAYOUTS}
BY_ID = {(layout.schema, layout.template): layout for layout in LAYOUTS}
# Where a message may be cut: its last text may be missing altogether (DS-40).
MAY_LACK_LAST_TEXT = ("DiscoveryRequest", "DiscoveryResponse")


def encode(message, /, *, _version=1, _block_extra=b"", _entry_extra=b"", _tail=b"", _group_block=None, _lacking=0, **values):
    """_version: in the header. _block_extra, _entry_extra: bytes behind the known ones of the block, and of each entry of a group.
    _tail: bytes behind the last text. _group_block: what groups without fixed fields say of their entries. _lacking: so many of
    the last texts are left out."""
    layout = BY_NAME[message]
    parts = layout.parts[:len(layout.parts) - _lacking] if _lacking else layout.parts
    options = (_entry_extra, _group_block)
    unknown = set(values) - {field for field, _, _ in layout.fields} - {part.name for part in layout.parts}
    assert not unknown, f"{message} has no {unknown}"
    return b"".join((struct.pack("<HHHH", layout.block + len(_block_extra), layout.template, layout.schema, _version),
                     _pack(layout.fields, values), _block_extra, *(_encode_part(part, values, options) for part in parts), _tail))


def _pack(fields, values):
    return struct.pack("<" + "".join(kind for _, kind, _ in fields), *(values.get(name, default) for name, _, default in fields))


def _encode_part(part, values, options):
    value = values.get(part.name)
    if isinstance(part, Text):
        value = value.encode() if isinstance(value, str) else bytes(value or b"")
        return struct.pack("<I", len(value)) + value
    extra, group_block = options
    block = part.block + len(extra)
    if part.block == 0:
        extra, block = b"", group_block or 0
    out = [struct.pack("<HH", block, len(value or ()))]
    for entry in value or ():
        if not isinstance(entry, dict):  # tags: texts alone
            entry = {part.parts[0].name: entry}
        out += [_pack(part.fields, entry), extra, *(_encode_part(inner, entry, options) for inner in part.parts)]
    return b"".join(out)


class _Cursor:
    def __init__(self, data, at):
        self.data, self.at = data, at

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Malformed(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count:self.at]


def decode(data):
    if len(data) < 8:
        raise Ignored(f"{len(data)} bytes")
    block, template, schema, version = struct.unpack_from("<HHHH", data)
    layout = BY_ID.get((schema, template))
    if layout is None:
        raise Ignored(f"schema {schema}, template {template}")
    if version != 1:
        raise Ignored(f"{layout.name} of version {version}")
    if block != layout.block and not (schema == 901 and block > layout.block):
        raise Malformed(f"{layout.name} with a block of {block}")
    cursor = _Cursor(data, 8)
    fields = _unpack(layout.fields, cursor.take(block))
    for index, part in enumerate(layout.parts):
        last = index == len(layout.parts) - 1 and layout.name in MAY_LACK_LAST_TEXT
        fields[part.name] = b"" if last and cursor.at == len(data) else _decode_part(part, cursor)
    return layout.name, fields


def _unpack(fields, data):
    return dict(zip((name for name, _, _ in fields), struct.unpack_from("<" + "".join(kind for _, kind, _ in fields), data)))


def _decode_part(part, cursor):
    if isinstance(part, Text):
        length = struct.unpack("<I", cursor.take(4))[0]
        if length > 1 << 30:
            raise Malformed(f"{part.name} of {length} bytes")
        return cursor.take(length)
    block, count = struct.unpack("<HH", cursor.take(4))
    if part.name == "tags":  # DS-8: 4 is the length word taken for a block
        if block not in (0, 4):
            raise Malformed(f"tags of {block} bytes")
        block = 0
    if block < part.block:
        raise Malformed(f"entries of {block} bytes in {part.name}")
    entries = []
    for _ in range(count):
        entry = _unpack(part.fields, cursor.take(block))
        for inner in part.parts:
            entry[inner.name] = _decode_part(inner, cursor)
        entries.append(entry["tag"] if part.name == "tags" else entry)
    return entries


def crc32c(data):
    """Castagnoli, reflected: the checksum of blobs."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()

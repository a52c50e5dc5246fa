"""Regions in shared memory: superblocks, slot headers, commit words, URIs. Knows no message and no Aeron.

The commit word is loaded and stored through memoryview.cast("Q"), which is one aligned access of 8 bytes. Between it and the
data stands no fence, since Python has none: the processors that this runs on (x86) keep stores and loads in order.
"""

import getpass
import mmap
import os
import re
import stat
import struct
import time

MAGIC = 0x544F504C53484D31
SUPERBLOCK = struct.Struct("<QIQIhHIIIQQQ")
SUPERBLOCK_FIELDS = ("magic", "layout", "epoch", "stream_id", "type", "pool_id", "nslots", "slot_bytes", "stride_bytes", "pid",
                     "start_ns", "activity_ns")
HEADER_RING, PAYLOAD_POOL = 1, 2
SLOT = struct.Struct("<QIIHIQI26sI")     # commit word, values length, payload slot, pool, offset, time, meta version, pad, header length
TENSOR = struct.Struct("<hhBBBI8i8i109s")  # dtype, order, ndims, pad_align, unit, progress stride, dims, strides, pad
ROW, COLUMN = 1, 2
UINT8, INT8, UINT16, INT16, UINT32, INT32, UINT64, INT64, FLOAT32, FLOAT64, BOOLEAN, BYTES, BIT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14
ELEMENT_BYTES = {UINT8: 1, INT8: 1, UINT16: 2, INT16: 2, UINT32: 4, INT32: 4, UINT64: 8, INT64: 8, FLOAT32: 4, FLOAT64: 8,
                 BOOLEAN: 1, BYTES: 1, BIT: 1}
NULL64, NULL32 = 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF
STALE_NS = 3_000_000_000


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Refused(Exception):
    """A region that is not what was announced, or may not be mapped; says why."""


# --- paths and URIs ---

def epoch_dir(base, namespace, stream_id, epoch):
    user = re.sub(r"[^A-Za-z0-9_-]", "_", getpass.getuser()) or "unknown"
    return os.path.join(os.path.realpath(base), f"tensorpool-{user}", namespace, str(stream_id), str(epoch))


def uri_of(path, hugepages=None):
    return f"shm:file?path={path}" + ("" if hugepages is None else f"|require_hugepages={str(hugepages).lower()}")


def parse_uri(uri):
    """(path, require_hugepages) of a URI of wire 7.2"""
    if isinstance(uri, bytes):
        uri = uri.decode("latin-1")
    if len(uri) > 4095 or not uri.startswith("shm:file?"):
        raise Refused(f"not a shm:file URI: {uri[:80]!r}")
    keys = {}
    for part in uri[len("shm:file?"):].split("|"):
        key, equals, value = part.partition("=")
        if not equals or not value or key in keys or key not in ("path", "require_hugepages"):
            raise Refused(f"bad parameter {part!r} of {uri!r}")
        keys[key] = value
    path = keys.get("path", "")
    if not re.fullmatch(r"/[\x21-\x3e\x40-\x7b\x7d-\x7e]*", path):
        raise Refused(f"bad path {path!r}")
    if keys.get("require_hugepages", "false") not in ("true", "false"):
        raise Refused(f"bad require_hugepages in {uri!r}")
    return path, keys.get("require_hugepages") == "true"


# --- regions ---

class Region:
    """One file, mapped. q: its 8-byte words."""

    def __init__(self, path, write):
        flags = os.O_RDWR if write else os.O_RDONLY
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.status = os.fstat(fd)
            size = self.status.st_size
            if not stat.S_ISREG(self.status.st_mode) or size < 64:
                raise Refused(f"{path}: no region")
            self.map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | (mmap.PROT_WRITE if write else 0))
        finally:
            os.close(fd)
        self.path, self.size = path, size
        self.q = memoryview(self.map)[:size // 8 * 8].cast("Q")

    def superblock(self):
        return dict(zip(SUPERBLOCK_FIELDS, SUPERBLOCK.unpack_from(self.map)))

    def touch(self, ns=None):
        self.q[7] = now_ns() if ns is None else ns

    def close(self):
        self.q.release()
        self.map.close()


def create_region(path, size, mode=0o660, **superblock):
    """A file of `size` bytes, exclusive; the magic comes last."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, mode)
    os.ftruncate(fd, size)
    data = SUPERBLOCK.pack(*(superblock[name] for name in SUPERBLOCK_FIELDS))
    os.pwrite(fd, data[8:], 8)
    os.pwrite(fd, data[:8], 0)
    os.close(fd)


class Pool:
    def __init__(self, pool_id, stride):
        self.pool_id, self.stride = pool_id, stride


def make_epoch(base, namespace, stream_id, epoch, nslots, pools, *, mode=0o660, spoil=None, extra_bytes=0, pool_slot_bytes=None,
               hugepages=None, pid=None):
    """Makes an epoch's files; returns what an announce or an attach response says of them.

    spoil: {"ring" or pool id: {superblock field: value}}, what a broken or hostile creator would write; "size" cuts the file."""
    spoil = spoil or {}
    directory = epoch_dir(base, namespace, stream_id, epoch)
    os.makedirs(directory, mode=0o770)
    start = now_ns()

    def region(key, name, size, **fields):
        block = dict(magic=MAGIC, layout=1, epoch=epoch, stream_id=stream_id, nslots=nslots, pid=pid or os.getpid(), start_ns=start,
                     activity_ns=start)
        block.update(fields)
        changes = dict(spoil.get(key, {}))
        size = changes.pop("size", size + extra_bytes)
        block.update(changes)
        path = os.path.join(directory, name)
        create_region(path, size, mode, **block)
        return uri_of(path, hugepages)

    ring = region("ring", "header.ring", 64 + nslots * 256, type=HEADER_RING, pool_id=0, slot_bytes=256, stride_bytes=0)
    entries = [dict(poolId=pool.pool_id, poolNslots=nslots, strideBytes=pool.stride,
                    regionUri=region(pool.pool_id, f"{pool.pool_id}.pool", 64 + nslots * pool.stride, type=PAYLOAD_POOL,
                                     pool_id=pool.pool_id, slot_bytes=pool.stride if pool_slot_bytes is None else pool_slot_bytes,
                                     stride_bytes=pool.stride))
               for pool in pools]
    return dict(streamId=stream_id, epoch=epoch, layoutVersion=1, headerNslots=nslots, headerSlotBytes=256, payloadPools=entries,
                headerRegionUri=ring)


class Mapping:
    """All regions of an epoch, or none (W-31). what: the fields of an announce or of an attach response."""

    def __init__(self, what, *, write=False, allowed=("/dev/shm",), forbid_others=True, check_activity=True):
        self.stream_id, self.epoch, self.nslots = what["streamId"], what["epoch"], what["headerNslots"]
        self.regions, self.pools = [], {}
        nslots = self.nslots
        try:
            if nslots == 0 or nslots & nslots - 1 or what["headerSlotBytes"] != 256 or what["layoutVersion"] != 1 or not what["payloadPools"]:
                raise Refused(f"geometry: {what}")
            self.ring = self._map(what["headerRegionUri"], 64 + nslots * 256, write, allowed, forbid_others)
            self._check(self.ring, dict(type=HEADER_RING, pool_id=0, slot_bytes=256), check_activity)
            for pool in what["payloadPools"]:
                stride = pool["strideBytes"]
                if pool["poolNslots"] != nslots or pool["poolId"] in self.pools or stride < 64 or stride % 64:
                    raise Refused(f"pool {pool}")
                region = self._map(pool["regionUri"], 64 + nslots * stride, write, allowed, forbid_others)
                self._check(region, dict(type=PAYLOAD_POOL, pool_id=pool["poolId"], stride_bytes=stride), check_activity)
                self.pools[pool["poolId"]] = (stride, region)
        except (Refused, OSError):
            self.close()
            raise

    def _map(self, uri, least, write, allowed, forbid_others):
        path, hugepages = parse_uri(uri)
        real = os.path.realpath(path)
        if os.path.islink(path) or not any(real.startswith(os.path.realpath(base) + "/") for base in allowed):
            raise Refused(f"{path}: not below {allowed}, or a link")
        if hugepages:
            raise Refused(f"{path}: hugepages are not here")
        region = Region(real, write)
        self.regions.append(region)
        if forbid_others and region.status.st_mode & 0o007:
            raise Refused(f"{path}: open to others")
        if region.size < least:
            raise Refused(f"{path}: {region.size} bytes of {least}")
        return region

    def _check(self, region, wanted, check_activity):
        block = region.superblock()
        wanted = dict(magic=MAGIC, layout=1, epoch=self.epoch, stream_id=self.stream_id, nslots=self.nslots, **wanted)
        for field, value in wanted.items():
            if block[field] != value:
                raise Refused(f"{region.path}: {field} is {block[field]}, announced {value}")
        if check_activity and now_ns() - block["activity_ns"] > STALE_NS:
            raise Refused(f"{region.path}: no activity since {block['activity_ns']}")

    def touch(self):
        for region in self.regions:
            region.touch()

    def close(self):
        for region in self.regions:
            region.close()
        self.regions = []

    # --- slots ---

    def word(self, index):
        return self.ring.q[8 + 32 * index]

    def set_word(self, index, value):
        self.ring.q[8 + 32 * index] = value

    def payload(self, pool_id, index, length):
        stride, region = self.pools[pool_id]
        return region.map[64 + index * stride:64 + index * stride + length]

    def write_payload(self, pool_id, index, data, at=0):
        stride, region = self.pools[pool_id]
        begin = 64 + index * stride + at
        region.map[begin:begin + len(data)] = bytes(data)

    def write_header(self, index, header):
        """All of a slot but its commit word."""
        begin = 64 + index * 256
        self.ring.map[begin + 8:begin + 256] = header[8:]

    def header(self, index):
        return self.ring.map[64 + index * 256:64 + (index + 1) * 256]


# --- slot headers ---

def contiguous(dims, dtype, order=ROW):
    strides, step = [0] * len(dims), ELEMENT_BYTES[dtype]
    for at in (reversed(range(len(dims))) if order == ROW else range(len(dims))):
        strides[at] = step
        step *= max(dims[at], 1)
    return strides


def pack_slot(*, values_len, slot, pool_id, timestamp_ns=NULL64, meta_version=0, dtype=UINT8, order=ROW, dims=None, strides=None, unit=0,
              progress_stride=0, payload_offset=0, header_len=192, ndims=None, tensor_header=(184, 52, 900, 1), pad=b"", word=0):
    """256 bytes. Everything that a stranger may get wrong can be got wrong here."""
    dims = [values_len] if dims is None else list(dims)
    strides = contiguous(dims, dtype, order) if strides is None else list(strides)
    ndims = len(dims) if ndims is None else ndims
    return (SLOT.pack(word, values_len, slot, pool_id, payload_offset, timestamp_ns, meta_version, pad.ljust(26, b"\0"), header_len)
            + struct.pack("<HHHH", *tensor_header)
            + TENSOR.pack(dtype, order, ndims, 0, unit, progress_stride, *(dims + [0] * 8)[:8], *(strides + [0] * 8)[:8], pad.ljust(109, b"\0")))


def unpack_slot(data):
    """The checked copy of a slot header (wire 8.2 step 5), or Refused."""
    _, values_len, slot, pool_id, offset, timestamp_ns, meta_version, _, header_len = SLOT.unpack_from(data)
    if header_len != 192 or struct.unpack_from("<HHHH", data, 64) != (184, 52, 900, 1) or offset != 0:
        raise Refused("header")
    values = TENSOR.unpack_from(data, 72)
    dtype, order, ndims, _, unit, progress_stride = values[:6]
    if dtype not in ELEMENT_BYTES or order not in (ROW, COLUMN) or not 1 <= ndims <= 8 or unit > 2:
        raise Refused("header")
    dims, strides = list(values[6:6 + ndims]), list(values[14:14 + ndims])
    if any(value < 0 for value in dims + strides):
        raise Refused("header")
    required = ELEMENT_BYTES[dtype]
    for at in (reversed(range(ndims)) if order == ROW else range(ndims)):
        if strides[at] == 0:
            strides[at] = required
        elif strides[at] < required:
            raise Refused("header")
        required = strides[at] * max(dims[at], 1)
    if unit and (progress_stride == 0 or unit == 2 and ndims < 2 or progress_stride != strides[unit - 1]):
        raise Refused("header")
    return dict(values_len=values_len, slot=slot, pool_id=pool_id, timestamp_ns=timestamp_ns, meta_version=meta_version, dtype=dtype, order=order,
                dims=dims, strides=strides, unit=unit, progress_stride=progress_stride)


# --- the pattern `check` (docs/guide/command-line.md): bytes that both sides can work out ---

_STEPS = bytes(range(256)) * 2


def check_pattern(seq, length):
    head = struct.pack("<QQ", seq, seq ^ NULL64)[:length]
    rest = max(length - 16, 0)
    begin = (seq + 16) % 256
    turn = _STEPS[begin:begin + 256]
    return head + (turn * (rest // 256 + 1))[:rest]

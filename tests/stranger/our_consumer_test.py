"""Our consumer (`tidepool subscribe`) before a stranger's producer and driver: every legal form of a frame, every broken one."""

import ast
import glob
import os
import struct
import time
import unittest

import shm
import wire
from producer import Producer, own_pools
from stage import Case, Feeder

CHANNEL = "aeron:ipc?term-length=1m"


def read_npy(path):
    """(numpy's dtype, whether in Fortran's order, shape, bytes) of an .npy file"""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:10]
    length = struct.unpack_from("<H", data, 8)[0]
    head = ast.literal_eval(data[10:10 + length].decode())
    return head["descr"], head["fortran_order"], head["shape"], data[10 + length:]


class ConsumerCase(Case):
    def strange_producer(self, stream_id=10000, nslots=64, strides=(8192,), **options):
        pools = options.pop("pools", None)
        own = own_pools(self.stage.base, nslots=nslots, strides=strides, **options.pop("made", {}))
        if pools:
            own["pools"] = pools
        return self.stage.add(Producer(self.stage.client(), stream_id, own=own, **options))

    def subscribe(self, *more, stream_id=10000, **env):
        return self.stage.run("subscribe", "--stream", stream_id, "--json", *more, **env)

    def mapped(self, producer):
        """Until our consumer says, by QosConsumer, that it has the producer's epoch mapped."""
        self.until(lambda: any(report["epoch"] == producer.epoch for report in producer.reports.values()), "our consumer to map")
        if producer.descriptor:
            self.until(producer.descriptor.connected, "our consumer's descriptor subscription")

    def gone_on(self, command, producer, verified=None):
        result = command.wait().result()
        self.assertEqual(result["bad"], 0, result)
        if verified is not None:
            self.assertEqual(result["verified"], verified, result)
        return result


class OurConsumer(ConsumerCase):
    # --- frames ---

    def test_takes_every_legal_form_of_a_frame(self):
        # W-7, W-19, W-20, W-23, W-39, W-46, W-47, W-48, W-54
        pools = [shm.Pool(65534, 8192), shm.Pool(3, 64), shm.Pool(0, 192), shm.Pool(7, 64)]  # any order, any id, any multiple of 64
        producer = self.strange_producer(pools=pools, made=dict(extra_bytes=4096 + 1, pool_slot_bytes=wire.NULL32, hugepages=False))
        save = os.path.join(self.stage.directory, "saved")
        data = bytes(range(256)) * 4
        frames = [(dtype, [8 // size], shm.ROW, data[:8]) for dtype, size in shm.ELEMENT_BYTES.items()]
        frames += [
            (shm.FLOAT32, [2, 3], shm.ROW, data[:24]), (shm.UINT16, [3, 2], shm.COLUMN, data[:12]), (shm.INT32, [4, 5], shm.ROW, data[:80]),
            (shm.UINT8, [1, 2, 1, 2, 1, 2, 1, 2], shm.ROW, data[:16]), (shm.FLOAT64, [2, 2, 2], shm.COLUMN, data[:64]),
            (shm.UINT8, [190], shm.ROW, data[:190]), (shm.UINT8, [1000], shm.ROW, data[:1000]), (shm.UINT8, [0], shm.ROW, b""),
            (shm.FLOAT32, [0, 5], shm.ROW, b""), (shm.UINT8, [4, 0, 3], shm.COLUMN, b""),
        ]
        special = [
            dict(strides=[0, 0]), dict(strides=[0, 4]), dict(timestamp_ns=wire.NULL64), dict(meta_version=wire.NULL32), dict(pad=b"\xff" * 26),
            dict(unit=1, progress_stride=12), dict(unit=2, progress_stride=4), dict(progress_stride=999),
            dict(descriptor=dict(timestampNs=1, metaVersion=9, traceId=wire.NULL64)), dict(descriptor=dict(traceId=1)), dict(pool_id=7),
            dict(descriptor=dict(metaVersion=0, timestampNs=0)), dict(timestamp_ns=0),
        ]
        subscribe = self.subscribe("--no-driver", "--frames", len(frames) + len(special), "--save", save)
        self.mapped(producer)
        for dtype, dims, order, payload in frames:
            producer.publish(payload, dtype=dtype, dims=dims, order=order)
        for more in special:
            seq, index, pool_id = producer.claim(24)
            producer.commit(seq, index, more.pop("pool_id", pool_id), data[:24], **{**dict(dtype=shm.FLOAT32, dims=[2, 3]), **more})
        result = self.gone_on(subscribe, producer)
        self.assertEqual((result["frames"], result["drops_late"], result["drops_gap"], result["saved"]), (len(frames) + len(special), 0, 0) + (result["frames"],),
                         (result, subscribe.log()))
        kinds = {shm.UINT8: "|u1", shm.INT8: "|i1", shm.UINT16: "<u2", shm.INT16: "<i2", shm.UINT32: "<u4", shm.INT32: "<i4", shm.UINT64: "<u8",
                 shm.INT64: "<i8", shm.FLOAT32: "<f4", shm.FLOAT64: "<f8", shm.BOOLEAN: "|b1"}
        for seq, (dtype, dims, order, payload) in enumerate(frames + [(shm.FLOAT32, [2, 3], shm.ROW, data[:24])] * len(special)):
            kind, fortran, shape, saved = read_npy(glob.glob(os.path.join(save, f"10000-*-{seq:012}.npy"))[0])
            self.assertEqual((saved, shape), (payload, tuple(dims)), (seq, dtype))
            self.assertEqual(kind, kinds.get(dtype, kind))
            if len([each for each in dims if each > 1]) > 1:
                self.assertEqual(fortran, order == shm.COLUMN)

    def test_takes_padded_rows_and_gives_raw_bytes_where_the_shape_does_not_fit(self):
        # W-46, W-47
        producer = self.strange_producer()
        save = os.path.join(self.stage.directory, "saved")
        subscribe = self.subscribe("--no-driver", "--frames", 3, "--save", save)
        self.mapped(producer)
        data = bytes(range(100))
        producer.publish(data[:28], dtype=shm.FLOAT32, dims=[2, 3], strides=[16, 4])   # four bytes between the rows
        producer.publish(data, dims=[10])                                              # more bytes than the shape needs
        producer.publish(data, dims=[101])                                             # fewer: raw bytes
        # The last one is a frame as good as any (W-47), but no array.
        result = subscribe.wait(1).result()
        self.assertEqual((result["frames"], result["bytes"], result["drops_late"], result["saved"], result["unsaved"]), (3, 228, 0, 2, 1))
        self.assertIn("holds 100 bytes, its shape needs 101", subscribe.log())
        saved = [read_npy(glob.glob(os.path.join(save, f"10000-*-{seq:012}.npy"))[0]) for seq in range(2)]
        self.assertEqual(saved[0][2:], ((2, 3), data[:12] + data[16:28]))
        self.assertEqual(saved[1][2:], ((10,), data[:10]))

    def test_drops_every_broken_slot_once_and_for_its_cause(self):
        # W-42, W-43, W-44, W-46, W-82, W-84, W-92
        producer = self.strange_producer()
        subscribe = self.subscribe("--no-driver", "--frames", 2, "--verify", "check")
        self.mapped(producer)
        producer.publish()
        header = [
            dict(header_len=191), dict(header_len=0), dict(header_len=0xFFFFFFFF), dict(tensor_header=(183, 52, 900, 1)), dict(tensor_header=(184, 51, 900, 1)),
            dict(tensor_header=(184, 52, 901, 1)), dict(tensor_header=(184, 52, 900, 2)), dict(payload_offset=64), dict(dtype=0, strides=[1]),
            dict(dtype=12, strides=[1]), dict(dtype=15, strides=[1]), dict(dtype=-1, strides=[1]), dict(order=0, strides=[1]), dict(order=3, strides=[1]),
            dict(ndims=0), dict(ndims=9), dict(ndims=255), dict(dims=[-1], strides=[1]), dict(strides=[-1]), dict(dtype=shm.FLOAT32, dims=[4], strides=[2]),
            dict(dims=[4, 4], strides=[3, 1]), dict(dims=[4, 4], strides=[1, 3], order=shm.COLUMN), dict(unit=3), dict(unit=1, progress_stride=0),
            dict(unit=1, progress_stride=2), dict(unit=2, progress_stride=1), dict(dims=[0x7FFFFFFF] * 8, strides=[0] * 8, ndims=9),
        ]
        for wrong in header:
            producer.publish(**wrong)
        for index in (dict(slot=63), dict(slot=64), dict(slot=0xFFFFFFFF)):
            producer.publish(**index)
        payload = [dict(pool_id=2), dict(pool_id=0), dict(pool_id=65535), dict(values_len=8193), dict(values_len=0xFFFFFFFF)]
        for wrong in payload:
            seq, index, pool_id = producer.claim(64)
            producer.commit(seq, index, pool_id, b"x" * 64, **{**dict(dims=[64]), **({} if "pool_id" in wrong else wrong)}, tell=False)
            if "pool_id" in wrong:
                producer.mapping.write_header(index, shm.pack_slot(values_len=64, slot=index, **wrong))
            producer.tell(seq)
        seq, index, _ = producer.claim(64)      # being written
        producer.tell(seq)
        for word in (lambda seq: seq + 64 << 1 | 1, lambda seq: 1, lambda seq: (1 << 64) - 1):  # another frame's
            seq, index, _ = producer.claim(64)
            producer.mapping.set_word(index, word(seq))
            producer.tell(seq)
        producer.publish()
        result = self.gone_on(subscribe, producer, 2)
        late = result["late"]
        self.assertEqual((late["header_invalid"], late["payload_invalid"], late["uncommitted"], late["identity"]), (len(header) + 3, len(payload), 1, 3), result)
        self.assertEqual((result["drops_late"], result["drops_gap"]), (len(header) + 3 + len(payload) + 4, 0))

    def test_counts_gaps_and_ignores_what_is_not_for_it(self):
        # W-4, W-5, W-6, W-10, W-60, W-66, W-82, W-83
        producer = self.strange_producer()
        subscribe = self.subscribe("--no-driver", "--frames", 5, "--verify", "check")
        self.mapped(producer)
        for _ in range(7):
            producer.publish(tell=False)
        producer.publish()                                     # 7: the baseline, no gap
        producer.tell(7)                                       # a duplicate
        for wrong in (dict(streamId=10001), dict(streamId=0), dict(epoch=producer.epoch - 1), dict(epoch=0)):
            producer.tell(7, **wrong)
        good = wire.encode("FrameDescriptor", streamId=10000, epoch=producer.epoch, seq=40)
        for each in (good[:47], good[:12], b"", struct.pack("<HHHH", 41, 4, 900, 1) + good[8:] + b"\0", struct.pack("<HHHH", 40, 4, 900, 2) + good[8:],
                     struct.pack("<HHHH", 40, 4, 900, 0) + good[8:], struct.pack(">HHHH", 40, 4, 900, 1) + good[8:], struct.pack("<HHHH", 40, 4, 902, 1) + good[8:],
                     struct.pack("<HHHH", 39, 4, 900, 1) + good[8:], wire.encode("QosProducer", streamId=10000), wire.encode("ControlResponse")):
            producer.descriptor.offer(each)
        producer.publish(descriptor=None)                      # 8
        producer.descriptor.offer(wire.encode("FrameDescriptor", _tail=b"trailing", streamId=10000, epoch=producer.epoch, seq=producer.publish(tell=False)))  # 9
        producer.publish(tell=False), producer.publish(tell=False)
        producer.publish()                                     # 12: two are gone
        producer.seq = 20
        producer.publish()                                     # 20: seven are
        result = self.gone_on(subscribe, producer, 5)
        self.assertEqual((result["drops_gap"], result["drops_late"], result["epoch_mismatch"], result["remaps"]), (9, 0, 2, 0), result)
        self.assertEqual((result["first_seq"], result["last_seq"]), (7, 20))

    def test_maps_again_after_a_regression_and_follows_a_newer_epoch(self):
        # W-36, W-57, W-58, W-59, W-60, W-61, W-65, W-66
        producer = self.strange_producer(period_ms=100)
        feeder = self.stage.add(Feeder(producer))
        self.stage.drop(producer)
        subscribe = self.subscribe("--no-driver", "--frames", 100000, "--verify", "check", "--log", "debug")
        frames = lambda: max((report["lastSeqSeen"] for report in producer.reports.values() if report["epoch"] == producer.epoch), default=0)
        self.until(lambda: frames() > 5, "frames")
        feeder.paused = True
        producer.tell(0)                                       # a regression: dropped, and mapped again by the next announce
        feeder.paused = False
        seq = producer.seq + 50
        self.until(lambda: frames() > seq, "frames after a regression")
        old = dict(producer.what)
        producer.tell(1, epoch=producer.epoch + 5)             # of an epoch to come: unmapped, until one is announced
        producer.new_epoch(namespace="second")
        self.until(lambda: frames() > 20, "frames of the next epoch")
        producer.announce(**{key: old[key] for key in ("epoch", "payloadPools", "headerRegionUri")})  # the old one again: ignored
        seq = producer.seq + 50
        self.until(lambda: frames() > seq, "frames after an old announce")
        result = subscribe.stop()
        self.assertEqual((result["bad"], result["epochs"], result["epoch"]), (0, 2, producer.epoch))
        self.assertEqual(result["frames"], result["verified"])

    def test_follows_a_producer_that_sends_no_descriptors(self):
        # W-53, P-2
        producer = self.strange_producer(descriptors=False)
        self.stage.drop(producer)
        self.stage.add(Feeder(producer))
        result = self.subscribe("--no-driver", "--follow", "ring", "--frames", 30, "--verify", "check").wait().result()
        self.assertEqual((result["verified"], result["bad"]), (30, 0))

    def test_follows_the_ring_over_broken_slots_and_gaps_of_every_size(self):
        # W-36, W-43, W-84, P-2: numbers may jump as they like, more than a ring holds, onto one slot again and again
        for turn, (nslots, step) in enumerate(((16, 7), (16, 16), (16, 100), (2, 3), (64, 1000))):
            producer = self.strange_producer(10000 + turn, nslots=nslots)
            subscribe = self.subscribe("--no-driver", "--verify", "check", "--follow", "ring", "--frames", 12, stream_id=10000 + turn)
            self.until(lambda: any(report["epoch"] == producer.epoch for report in producer.reports.values()), "our consumer to map")
            self.stage.drop(producer)
            feeder = self.stage.add(Feeder(producer, rate=200))
            kept, broken = producer.publish, []

            def publish(length):
                if len(broken) < 3:  # the first ones are no frames
                    broken.append(kept(**(dict(header_len=7), dict(dtype=12, strides=[1]), dict(slot=nslots))[len(broken)]))
                else:
                    kept(length=length)
                producer.seq += step - 1

            producer.publish = publish
            result = self.gone_on(subscribe, producer, 12)
            self.assertLessEqual(result["late"]["header_invalid"], 3, (nslots, step))
            self.stage.drop(feeder)

    def test_takes_announces_of_a_synchronised_realtime_clock(self):
        # W-55, W-56, W-91
        producer = self.strange_producer(clock_domain=wire.REALTIME_SYNCED)
        self.stage.drop(producer)
        self.stage.add(Feeder(producer))
        self.gone_on(self.subscribe("--no-driver", "--frames", 20, "--verify", "check"), producer, 20)

    # --- hostile memory ---

    def test_refuses_hostile_regions_with_a_line_that_says_why_and_goes_on(self):
        # W-17, W-19, W-20, W-23, W-24, W-25, W-26, W-27, W-28, W-29, W-31, W-63
        stale = shm.now_ns() - 20_000_000_000
        spoils = {  # what is wrong, and a word that the log must have
            "ring magic": (dict(spoil={"ring": dict(magic=0x4D53484C504F5431)}), "magic"),
            "pool magic": (dict(spoil={1: dict(magic=0)}), "magic"),
            "layout": (dict(spoil={"ring": dict(layout=2)}), "layout"),
            "epoch": (dict(spoil={1: dict(epoch=5)}), "epoch"),
            "stream": (dict(spoil={"ring": dict(stream_id=10)}), "stream"),
            "ring type": (dict(spoil={"ring": dict(type=2)}), "type"),
            "pool type": (dict(spoil={1: dict(type=1)}), "type"),
            "ring pool id": (dict(spoil={"ring": dict(pool_id=1)}), "pool"),
            "pool id": (dict(spoil={1: dict(pool_id=2)}), "pool"),
            "ring nslots": (dict(spoil={"ring": dict(nslots=8)}), "slot count"),
            "pool nslots": (dict(spoil={1: dict(nslots=32)}), "slot count"),
            "slot bytes": (dict(spoil={"ring": dict(slot_bytes=128)}), "slot"),
            "stride": (dict(spoil={1: dict(stride_bytes=4096)}), "stride"),
            "activity 0": (dict(spoil={"ring": dict(activity_ns=0)}), "never active"),
            "activity stale": (dict(spoil={1: dict(activity_ns=stale)}), "is stale"),
            "ring cut": (dict(spoil={"ring": dict(size=64 + 16 * 256 - 1)}), "bytes"),
            "pool cut": (dict(spoil={1: dict(size=64)}), "bytes"),
            "empty file": (dict(spoil={1: dict(size=0)}), "bytes"),
            "others may write": (dict(mode=0o666), "mode"),
        }
        paths = {
            "missing": (lambda real: real + ".gone", "No such file"),
            "link": (lambda real: self.link(real), "link"),
            "directory": (os.path.dirname, "regular"),
            "fifo": (lambda real: self.fifo(), "regular"),
            "elsewhere": (lambda real: "/etc/passwd", "allowed"),
            "dots": (lambda real: "/dev/shm/../../etc/passwd", "allowed"),
        }
        uris = {"hugepages": (lambda real: shm.uri_of(real, True), "huge"), "unknown key": (lambda real: shm.uri_of(real) + "|mode=1", "mode"),
                "other scheme": (lambda real: "file://" + real, "shm:file"), "relative": (lambda real: "shm:file?path=dev/shm/x", "path")}
        faults = [(name, made, None, None, word) for name, (made, word) in spoils.items()]
        faults += [(name, {}, change, None, word) for name, (change, word) in paths.items()]
        faults += [(name, {}, None, change, word) for name, (change, word) in uris.items()]
        client, cases = self.stage.client(), []
        for index, (name, made, path, uri, word) in enumerate(faults):
            stream_id = 11000 + index
            producer = Producer(client, stream_id, own=own_pools(self.stage.base, nslots=16, strides=(8192,), **made), listens=False)
            key = "headerRegionUri" if index % 2 else "payloadPools"
            real = shm.parse_uri(producer.what["headerRegionUri"] if index % 2 else producer.what["payloadPools"][0]["regionUri"])[0]
            if path or uri:
                text = shm.uri_of(path(real)) if path else uri(real)
                producer.what = dict(producer.what, **{key: text if index % 2 else [dict(producer.what["payloadPools"][0], regionUri=text)]})
            hostile = self.stage.add(Hostile(producer, "activity" in name))
            cases.append((name, word, hostile, self.subscribe("--no-driver", "--wait", "--frames", 5, "--verify", "check", stream_id=stream_id,
                                                              CONSUMER_HELLO_INTERVAL_MS=1000, CONSUMER_QOS_INTERVAL_MS=1000)))
        for name, word, hostile, command in cases:
            self.until(lambda: word.lower() in command.log().lower() or command.ended(), f"a line with '{word}' on {name}")
            self.assertFalse(command.ended(), f"{name}: {command.log()}")
            self.assertEqual(command.out(), "", name)
        for _, _, hostile, _ in cases:   # and now as it should be
            hostile.mend()
        for name, _, hostile, command in cases:
            self.gone_on(command, hostile.producer, 5)

    def link(self, real):
        path = os.path.join(self.stage.base, "link")
        os.symlink(real, path)
        return path

    def fifo(self):
        path = os.path.join(self.stage.base, "fifo")
        os.mkfifo(path, 0o660)
        return path

    def test_ignores_announces_that_break_a_rule(self):
        # W-9, W-10, W-20, W-55, W-56, W-57
        now = shm.now_ns
        pool = lambda producer, **changes: [dict(producer.what["payloadPools"][0], **changes)]
        wrong = [
            lambda producer: dict(streamId=4), lambda producer: dict(layoutVersion=2), lambda producer: dict(layoutVersion=0), lambda producer: dict(headerSlotBytes=128),
            lambda producer: dict(headerNslots=48), lambda producer: dict(headerNslots=0), lambda producer: dict(headerNslots=32), lambda producer: dict(payloadPools=[]),
            lambda producer: dict(payloadPools=pool(producer, poolNslots=8)), lambda producer: dict(payloadPools=pool(producer) * 2),
            lambda producer: dict(payloadPools=pool(producer, strideBytes=0)), lambda producer: dict(payloadPools=pool(producer, strideBytes=100)),
            lambda producer: dict(payloadPools=pool(producer, strideBytes=32)), lambda producer: dict(payloadPools=pool(producer, regionUri="")),
            lambda producer: dict(headerRegionUri=""), lambda producer: dict(announceClockDomain=0), lambda producer: dict(announceClockDomain=3),
            lambda producer: dict(announceClockDomain=255), lambda producer: dict(announceTimestampNs=0), lambda producer: dict(announceTimestampNs=now() - 4_000_000_000),
            lambda producer: dict(announceClockDomain=2, announceTimestampNs=time.time_ns() - 4_000_000_000),
            lambda producer: dict(announceClockDomain=2), lambda producer: dict(announceTimestampNs=1),
        ]
        producer = self.strange_producer(announces=False)
        subscribe = self.subscribe("--no-driver", "--wait", "--frames", 5, "--verify", "check")
        self.until(producer.control.connected, "our consumer")
        self.until(lambda: producer.hellos, "its hello")
        for _ in range(2):
            for each in wrong:
                self.assertGreater(producer.announce(**each(producer)), 0)
        good = {name: producer.what[name] for name in ("streamId", "epoch", "headerNslots", "payloadPools", "headerRegionUri")}
        for options in (dict(_version=2), dict(_version=0), dict(_block_extra=b"1")):
            producer.announce_out.offer(wire.encode("ShmPoolAnnounce", **options, **good, announceTimestampNs=now()))
        whole = wire.encode("ShmPoolAnnounce", **good, announceTimestampNs=now())
        for cut in range(8, len(whole)):
            producer.announce_out.offer(whole[:cut])
        reports = len(self.stage.commands)  # its reports go on, and say that nothing is mapped
        seen = dict(producer.hellos)
        producer.reports.clear()
        self.until(lambda: producer.reports, "a report")
        self.assertEqual({report["epoch"] for report in producer.reports.values()}, {0}, (reports, seen))
        self.assertNotIn(" mapped", subscribe.out())
        # A good one, of a newer sender: entries are longer, bytes follow, its clock is ahead of ours.
        producer.announce_out.offer(wire.encode("ShmPoolAnnounce", _entry_extra=b"newer", _tail=b"more", **good, announceTimestampNs=now() + 1_000_000_000))
        self.mapped(producer)
        self.stage.drop(producer)
        self.stage.add(Feeder(producer))
        self.gone_on(subscribe, producer, 5)

    def test_lets_go_of_memory_whose_owner_changes_or_falls_silent(self):
        # W-58, W-59, W-62, W-63, W-64
        producer = self.strange_producer(period_ms=100)
        self.stage.drop(producer)
        feeder = self.stage.add(Feeder(producer))
        subscribe = self.subscribe("--no-driver", "--frames", 100000, "--verify", "check", CLIENT_ANNOUNCE_PERIOD_MS=200)
        self.mapped(producer)
        unmapped = lambda: any(report["epoch"] == 0 for report in producer.reports.values())
        for field, change in (("pid", 40), ("start time", 48), ("magic", 0), ("slots", 28)):
            region = producer.mapping.regions[field == "slots"]
            region.map[change:change + 4] = struct.pack("<I", struct.unpack_from("<I", region.map, change)[0] ^ 1)
            producer.announces = False
            self.until(unmapped, f"our consumer to let go: {field}")
            producer.announces = True
            producer.new_epoch(namespace="after-" + field.replace(" ", "-"))
            self.mapped(producer)
        # Silence: activity stands still, announces go on.
        feeder.paused = True
        producer.mapping.touch, kept = lambda: None, producer.mapping.touch
        self.until(unmapped, "our consumer to let go of a silent owner's memory")
        producer.mapping.touch = kept
        feeder.paused = False
        self.mapped(producer)
        seq = producer.seq + 20
        self.until(lambda: any(report["lastSeqSeen"] > seq for report in producer.reports.values()), "frames again")
        self.assertEqual(subscribe.stop()["bad"], 0)


class Hostile:
    """A producer among many that does not listen: it announces its epoch, says that it is alive, and publishes when it is mended."""

    def __init__(self, producer, stale):
        self.producer, self.stale, self.due, self.mended, self.files = producer, stale, 0, False, []
        if producer.mapping is None:  # not even it can map what it made
            uris = [producer.what["headerRegionUri"]] + [pool["regionUri"] for pool in producer.what["payloadPools"]]
            self.files = [os.open(shm.parse_uri(uri)[0], os.O_RDWR) for uri in uris]

    def poll(self):
        now = shm.now_ns()
        if now < self.due:
            return
        self.due = now + (50_000_000 if self.mended else 200_000_000)
        self.touch(now)
        self.producer.announce()
        if self.mended:
            self.producer.publish()

    def touch(self, now):
        if self.producer.mapping:
            self.producer.mapping.touch()
        elif not self.stale:
            for file in self.files:
                if os.fstat(file).st_size >= 64:
                    os.pwrite(file, struct.pack("<Q", now), 56)

    def mend(self):
        self.close()
        self.producer.own = own_pools(self.producer.own["base"], nslots=16, strides=(8192,))
        self.producer.new_epoch(namespace="mended")
        self.mended = True

    def close(self):
        while self.files:
            os.close(self.files.pop())


class OurConsumersStreams(ConsumerCase):
    """What a producer or driver may tell our consumer: streams of its own, progress, metadata, the end of a lease."""

    def test_is_given_a_stream_of_its_own_and_gives_it_up(self):
        # W-68, W-70, W-72, W-74, W-76, W-77
        producer = self.strange_producer(period_ms=100)
        producer.assign[31001] = 31077
        self.stage.drop(producer)
        self.stage.add(Feeder(producer))
        subscribe = self.subscribe("--no-driver", "--own-stream", 31001, "--max-rate", 100, "--frames", 100000, "--verify", "check")
        self.until(lambda: producer.own_streams, "the request")
        consumer_id, hello = next(iter(producer.hellos.items()))
        self.assertEqual((hello["supportsShm"], hello["mode"], hello["maxRateHz"], hello["expectedLayoutVersion"], hello["controlStreamId"]),
                         (1, wire.RATE_LIMITED, 100, 1, 0))
        own = producer.own_streams[consumer_id]
        self.until(own.connected, "our consumer on its own stream")
        self.until(lambda: producer.hellos[consumer_id]["descriptorStreamId"] == 31077, "the assigned stream in its hello")
        # The shared stream falls silent: frames go on over its own.
        shared, producer.descriptor = producer.descriptor, None
        seen = lambda: producer.reports[consumer_id]["lastSeqSeen"]
        self.until(lambda: consumer_id in producer.reports, "its reports")
        seq = producer.seq + 50
        self.until(lambda: seen() > seq, "frames over its own stream")
        # Malformed and foreign configs change nothing.
        for wrong in (dict(descriptorStreamId=31078), dict(descriptorChannel=CHANNEL), dict(descriptorStreamId=0x80000000, descriptorChannel=CHANNEL),
                      dict(useShm=2), dict(mode=0), dict(mode=3), dict(streamId=10001, useShm=0), dict(consumerId=consumer_id ^ 1, useShm=0)):
            producer.control.offer(wire.encode("ConsumerConfig", **{**dict(streamId=10000, consumerId=consumer_id, mode=2), **wrong}))
        seq = producer.seq + 50
        self.until(lambda: seen() > seq, "frames after broken configs")
        # Declined, after all: back to the shared stream.
        producer.descriptor = shared
        producer.configure(consumer_id, descriptorStreamId=0, descriptorChannel="")
        self.until(lambda: not own.connected(), "our consumer to leave its stream")
        seq = producer.seq + 50
        self.until(lambda: seen() > seq, "frames over the shared stream")
        # Shared memory forbidden: it lets go, and comes back when allowed.
        producer.answers = False
        producer.configure(consumer_id, useShm=0, payloadFallbackUri="aeron:udp?endpoint=127.0.0.1:40123")
        self.until(lambda: producer.reports[consumer_id]["epoch"] == 0, "our consumer to unmap")
        self.assertIn("aeron:udp?endpoint=127.0.0.1:40123", subscribe.log())
        producer.configure(consumer_id, useShm=1)
        seq = producer.seq + 50
        self.until(lambda: seen() > seq and producer.reports[consumer_id]["epoch"], "frames again")
        result = subscribe.stop()
        self.assertEqual((result["bad"], result["frames"]), (0, result["verified"]))

    def test_reads_prefixes_of_frames_that_are_being_written(self):
        # W-9, W-78, W-80, W-81
        producer = self.strange_producer(period_ms=100)
        subscribe = self.subscribe("--no-driver", "--progress", "--frames", 4, "--verify", "check")
        self.mapped(producer)
        self.until(lambda: any(hello["supportsProgress"] for hello in producer.hellos.values()), "a hello that asks for progress")
        length = 4096
        for _ in range(3):
            seq, index, pool_id = producer.claim(length)
            data = shm.check_pattern(seq, length)
            producer.mapping.write_header(index, shm.pack_slot(values_len=length, slot=index, pool_id=pool_id, timestamp_ns=shm.now_ns()))
            producer.progress(seq, 0, wire.STARTED)
            for filled in (1000, 2000):
                producer.mapping.write_payload(pool_id, index, data[filled - 1000:filled], filled - 1000)
                producer.progress(seq, filled, wire.PROGRESS)
            # Not to be believed: less than before, more than there is, no state, another epoch, stream or frame.
            producer.progress(seq, 500, wire.PROGRESS)
            producer.progress(seq, length + 1, wire.PROGRESS)
            for state in (0, 4, 255):
                producer.progress(seq, 3000, state)
            producer.progress(seq, 3000, wire.PROGRESS, epoch=producer.epoch + 1)
            producer.progress(seq, 3000, wire.PROGRESS, streamId=10001)
            producer.progress(seq + 64, 3000, wire.PROGRESS)
            producer.progress(seq + 1000, 3000, wire.PROGRESS)
            producer.mapping.write_payload(pool_id, index, data[2000:], 2000)
            producer.progress(seq, length, wire.COMPLETE)
            producer.commit(seq, index, pool_id, data)
        producer.publish()
        result = self.gone_on(subscribe, producer, 4)
        self.assertEqual(result["progress"]["bad"], 0, result)
        self.assertGreaterEqual(result["progress"]["told"], 3, result)

    def test_keeps_what_a_stranger_says_of_its_data(self):
        # W-10, W-87, W-88, W-89, W-90
        producer = self.strange_producer(period_ms=100)
        feeder = self.stage.add(Feeder(producer, rate=100))
        self.stage.drop(producer)
        subscribe = self.subscribe("--no-driver", "--frames", 100000, "--max-blob-bytes", 100000)
        self.mapped(producer)
        self.until(producer.metadata.connected, "our consumer's metadata subscription")
        producer.set_source("cam-1", "left", [("gain", "text/plain", "1.5"), ("raw", "application/octet-stream", b"\0\xff"), ("odd", "x/unknown", ""),
                                              ("gain", "text/plain", "2.5"), ("", "", "nameless")], version=5)
        blob = bytes(range(256)) * 10
        producer.send_blob(1, blob)
        producer.send_blob(2, blob, checksum=0)
        producer.send_blob(3, blob, order=[0, 2000])                      # a gap
        producer.send_blob(4, blob, order=[0, 0, 1000, 2000])             # an overlap
        producer.send_blob(5, blob, checksum=wire.crc32c(blob) ^ 1)       # another checksum
        producer.send_blob(6, bytes(100001))                              # too large
        # An older version, another stream's, and broken ones: no effect.
        stale = dict(streamId=10000, metaVersion=4, timestampNs=1, attributes=[dict(key="gain", format="text/plain", value="0")])
        producer.metadata.offer(wire.encode("DataSourceMeta", **stale))
        producer.metadata.offer(wire.encode("DataSourceMeta", **{**stale, "streamId": 10001, "metaVersion": 9}))
        producer.metadata.offer(wire.encode("DataSourceMeta", **{**stale, "metaVersion": 9})[:-1])
        producer.metadata.offer(wire.encode("DataSourceMeta", _version=2, **{**stale, "metaVersion": 9}))
        producer.metadata.offer(wire.encode("DataSourceAnnounce", streamId=10000, producerId=1, epoch=producer.epoch - 1, metaVersion=9, name="old"))
        seq = producer.seq + 20
        self.until(lambda: any(report["lastSeqSeen"] > seq for report in producer.reports.values()), "frames")
        result = subscribe.stop()
        self.assertGreater(feeder.published, 0)
        metadata = result["metadata"]
        self.assertEqual((metadata["version"], metadata["epoch"], metadata["name"], metadata["summary"]), (5, producer.epoch, "cam-1", "left"))
        attributes = metadata["attributes"]
        self.assertEqual((attributes["gain"]["value"], attributes["raw"]["bytes"], attributes["odd"]["format"]), ("2.5", 2, "x/unknown"), metadata)
        self.assertEqual(metadata["blobs"], {"1": len(blob), "2": len(blob)}, metadata)


if __name__ == "__main__":
    unittest.main()

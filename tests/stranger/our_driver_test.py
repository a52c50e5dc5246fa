"""Our driver (`tidepool driver`) as a stranger's clients meet it: every answer, every refusal, the order of messages, the files."""

import os
import random
import stat
import struct
import unittest

import shm
import wire
from attach import Attachment, Planes
from stage import CONTROL, Asker, Case

NO_LEASE = dict(leaseId=wire.NULL64, leaseExpiryTimestampNs=wire.NULL64, streamId=wire.NULL32, epoch=wire.NULL64, layoutVersion=wire.NULL32,
                headerNslots=wire.NULL32, headerSlotBytes=wire.NULL16, nodeId=wire.NULL32, payloadPools=[], headerRegionUri=b"")
SHORT_LEASES = "lease_keepalive_interval_ms = 100\nlease_expiry_grace_intervals = 3\n"
PRODUCER, CONSUMER = wire.PRODUCER, wire.CONSUMER


class OurDriver(Case):
    def asker(self, planes=None):
        return self.stage.add(Asker(self.stage.client(), planes))

    def refused(self, response, code, text=None):
        """D-12: every optional field is null, no pools, no URI; a text of at most 1024 bytes."""
        self.assertEqual({key: response[key] for key in NO_LEASE}, NO_LEASE)
        self.assertEqual(response["code"], code, response)
        self.assertLessEqual(len(response["errorMessage"]), 1024)
        if text is not None:
            self.assertEqual(response["errorMessage"], text.encode())

    def served(self, asker, stream_id=10000):
        """It still answers, and grants."""
        client_id = random.randrange(1, 1 << 31)
        lease = asker.ask(self.stage, stream_id, CONSUMER, client_id, expect=wire.OK)
        self.assertEqual(asker.detach(self.stage, lease, CONSUMER, client_id)["code"], wire.OK)

    def test_grants_leases_with_whole_regions_announced_before_the_answer(self):
        # D-3, D-9, D-11, D-19, D-20, D-29, D-31, D-32, D-33, D-34, D-36, D-37, D-43, D-44, D-45, W-14, W-18, W-21, W-32, W-34
        self.stage.driver(profiles='[profiles.many]\nheader_nslots = 8\npayload_pools = [{ pool_id = 7, stride_bytes = 4096 }, '
                          "{ pool_id = 2, stride_bytes = 64 }, { pool_id = 65534, stride_bytes = 1024 }]", streams={"front": (10000, "many")})
        asker = self.asker()
        before = shm.now_ns()
        lease = asker.ask(self.stage, 10000, PRODUCER, 77, expect=wire.OK, correlationId=-(1 << 62) - 5)
        Attachment.check(lease)
        self.assertEqual((lease["correlationId"], lease["streamId"], lease["errorMessage"]), (-(1 << 62) - 5, 10000, b""))
        self.assertEqual([(pool["poolId"], pool["strideBytes"], pool["poolNslots"]) for pool in lease["payloadPools"]],
                         [(7, 4096, 8), (2, 64, 8), (65534, 1024, 8)])
        self.assertGreaterEqual(lease["epoch"], before)
        self.assertTrue(2_000_000_000 < lease["leaseExpiryTimestampNs"] - before < 40_000_000_000)
        self.assertNotIn(lease["leaseId"], (0, wire.NULL64))
        # Announced with the same content, before the answer.
        names = [(name, body.get("epoch")) for name, body in asker.heard]
        self.assertLess(names.index(("ShmPoolAnnounce", lease["epoch"])), names.index(("ShmAttachResponse", lease["epoch"])))
        announce = asker.all("ShmPoolAnnounce", epoch=lease["epoch"])[0]
        self.assertEqual((announce["producerId"], announce["announceClockDomain"]), (77, wire.MONOTONIC))
        self.assertTrue(before <= announce["announceTimestampNs"] <= shm.now_ns())
        for field in ("streamId", "layoutVersion", "headerNslots", "headerSlotBytes", "payloadPools", "headerRegionUri"):
            self.assertEqual(announce[field], lease[field])
        # Superblocks, files, directories.
        path, _ = shm.parse_uri(lease["headerRegionUri"])
        self.assertEqual(path, os.path.join(shm.epoch_dir(self.stage.base, "ours", 10000, lease["epoch"]), "header.ring"))
        self.assertEqual(sorted(os.listdir(os.path.dirname(path))), ["2.pool", "65534.pool", "7.pool", "header.ring"])
        mapping = shm.Mapping(lease, allowed=(self.stage.base,))
        ring = mapping.ring.superblock()
        for region in mapping.regions:
            block = region.superblock()
            self.assertEqual((block["magic"], block["layout"], block["pid"]), (shm.MAGIC, 1, self.stage.commands[-1].process.pid))
            self.assertTrue(before <= block["start_ns"] <= block["activity_ns"] <= shm.now_ns(), block)
            self.assertEqual(stat.S_IMODE(region.status.st_mode), 0o660)
            self.assertEqual(os.path.realpath(region.path), region.path)
        self.assertEqual((ring["slot_bytes"], ring["stride_bytes"], ring["pool_id"]), (256, 0, 0))
        for pool_id, (stride, region) in mapping.pools.items():
            block = region.superblock()
            self.assertEqual((block["slot_bytes"], block["stride_bytes"], block["pool_id"]), (stride, stride, pool_id))
        self.assertEqual(bytes(mapping.ring.map[64:]).strip(b"\0"), b"", "a new ring is all zeros")
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) & 0o777, 0o770)
        # A consumer gets the same epoch, another lease and node; nothing is bumped.
        other = asker.ask(self.stage, 10000, CONSUMER, 78, expect=wire.OK, publishMode=wire.NULL8)
        self.assertEqual(other["epoch"], lease["epoch"])
        self.assertNotEqual(other["leaseId"], lease["leaseId"])
        self.assertNotEqual(other["nodeId"], lease["nodeId"])
        asker.keepalive(lease, PRODUCER, 77)
        self.until(lambda: len(asker.all("ShmPoolAnnounce", epoch=lease["epoch"])) >= 4, "announces each period")
        mapping.close()

    def test_refuses_with_the_code_of_the_table(self):
        # D-8, D-10, D-12, D-13, D-14, D-15, D-16, D-21, D-22, D-29, D-49
        self.stage.driver(driver='stream_id_range = "20000-20001"', policies="allow_dynamic_streams = true")
        asker = self.asker()
        ask = lambda *arguments, **more: asker.ask(self.stage, *arguments, **more)
        producer = ask(10000, PRODUCER, 1, expect=wire.OK)
        for role in (0, 3, 255):
            self.refused(ask(10000, role, 2), wire.INVALID_PARAMS, "invalid role")
        self.refused(ask(10000, CONSUMER, 0), wire.INVALID_PARAMS, "client_id must be non-zero")
        for mode in (0, 3, 254):
            self.refused(ask(10000, CONSUMER, 2, publishMode=mode), wire.UNSUPPORTED, "unsupported publish_mode")
        for policy in (3, 255):
            self.refused(ask(10000, CONSUMER, 2, requireHugepages=policy), wire.INVALID_PARAMS, "invalid hugepages policy")
        for stream_id, role in ((10000, PRODUCER), (10000, CONSUMER), (20000, CONSUMER)):
            self.refused(ask(stream_id, role, 1, publishMode=wire.EXISTING_OR_CREATE), wire.REJECTED, "client_id already attached")
        for layout in (2, 0xFFFFFFFE):
            self.refused(ask(10000, CONSUMER, 2, expectedLayoutVersion=layout), wire.REJECTED, "layout version mismatch")
        for mode in (wire.REQUIRE_EXISTING, wire.NULL8):
            self.refused(ask(20000, CONSUMER, 2, publishMode=mode), wire.REJECTED, "stream not provisioned")
        for stream_id in (19999, 20002, 1, 0xFFFFFFFE, wire.NULL32):
            self.refused(ask(stream_id, PRODUCER, 2), wire.REJECTED, "stream_id outside dynamic range")
        self.refused(ask(10000, PRODUCER, 2), wire.REJECTED, "producer already attached")
        self.refused(ask(10000, CONSUMER, 2, requireHugepages=2), wire.REJECTED, "hugepages not available")
        self.refused(ask(10000, CONSUMER, 2, desiredNodeId=producer["nodeId"]), wire.REJECTED, "desired node_id unavailable")
        # What is refused has changed nothing: ids are chosen from the whole range, and then it is exhausted.
        self.assertEqual({ask(0, PRODUCER, 3, expect=wire.OK)["streamId"], ask(0, PRODUCER, 4, expect=wire.OK)["streamId"]}, {20000, 20001})
        self.refused(ask(0, PRODUCER, 2), wire.INVALID_PARAMS, "stream_id_range exhausted")
        # What peers send that is none: no layout, null layout, no node, ordinary pages.
        for index, more in enumerate((dict(expectedLayoutVersion=0), dict(expectedLayoutVersion=wire.NULL32), dict(desiredNodeId=0),
                                      dict(requireHugepages=1), dict(desiredNodeId=4000))):
            granted = ask(10000, CONSUMER, 10 + index, expect=wire.OK, **more)
            self.assertNotIn(granted["nodeId"], (0, wire.NULL32))
        self.assertEqual(granted["nodeId"], 4000)
        # A request of a newer schema is answered; one of an older, none (D-4): never anything that cannot be parsed.
        asker.send("ShmAttachRequest", _version=2, correlationId=-1, streamId=10000, clientId=2, role=CONSUMER)
        self.until(lambda: asker.all("ShmAttachResponse", correlationId=-1), "the response to a newer version")
        self.refused(asker.all("ShmAttachResponse", correlationId=-1)[0], wire.UNSUPPORTED, "unsupported driver schema version")

    def test_refuses_dynamic_streams_that_are_not_configured(self):
        # D-8, D-49
        self.stage.driver(policies="allow_dynamic_streams = true")
        asker = self.asker()
        for stream_id in (0, 20000):
            self.refused(asker.ask(self.stage, stream_id, PRODUCER, 5), wire.INVALID_PARAMS, "stream_id_range not configured")

    def test_makes_streams_for_consumers_too(self):
        # D-13, D-32, D-49
        self.stage.driver(driver='stream_id_range = "20000-20001"', policies="allow_dynamic_streams = true")
        asker = self.asker()
        chosen = asker.ask(self.stage, 0, CONSUMER, 1, expect=wire.OK, publishMode=wire.EXISTING_OR_CREATE)
        named = asker.ask(self.stage, 20001, CONSUMER, 2, expect=wire.OK, publishMode=wire.EXISTING_OR_CREATE)
        self.assertEqual((chosen["streamId"], named["streamId"]), (20000, 20001))
        self.assertEqual(asker.ask(self.stage, 20000, CONSUMER, 3, expect=wire.OK)["epoch"], chosen["epoch"], "it exists now")

    def test_takes_newer_requests_and_ignores_what_it_cannot_read(self):
        # D-2, D-4, W-4, W-5, W-6, W-9
        driver = self.stage.driver()
        asker = self.asker()
        fields = dict(streamId=10000, role=CONSUMER, publishMode=wire.REQUIRE_EXISTING)
        for index, options in enumerate((dict(_block_extra=b"newer"), dict(_tail=b"trailing"),
                                         dict(_block_extra=b"12345678", _tail=struct.pack("<HHI", 0, 0, 3) + b"abc"))):
            correlation = asker.correlation()
            asker.send("ShmAttachRequest", correlationId=correlation, clientId=100 + index, **fields, **options)
            self.until(lambda: asker.all("ShmAttachResponse", correlationId=correlation), f"the response with {options}")
            self.assertEqual(asker.all("ShmAttachResponse", correlationId=correlation)[0]["code"], wire.OK)
        heard = len(asker.all("ShmAttachResponse"))
        request = wire.encode("ShmAttachRequest", correlationId=1, clientId=200, **fields)
        noise = [request[:cut] for cut in range(1, len(request))]
        noise.append(struct.pack(">HHHH", 27, 1, 901, 1) + request[8:])           # a big-endian sender
        noise.append(struct.pack("<HHHH", 26, 1, 901, 1) + request[8:])           # a shorter block
        noise.append(struct.pack("<HHHH", 27, 99, 901, 1) + request[8:])          # an unknown template
        noise += [struct.pack("<HHHH", 27, 1, schema, 1) + request[8:] for schema in (0, 899, 902, 903, 904, 65535)]
        noise += [struct.pack("<HHHH", 65535, template, 901, 1) + bytes(40) for template in range(1, 9)]
        noise.append(wire.encode("ShmDriverShutdownRequest", token="x")[:-5] + b"\xff\xff\xff\xff")
        noise += [wire.encode(name) for name in ("ShmDetachResponse", "ShmDriverShutdown", "ControlResponse", "FrameProgress")]
        noise += [bytes(random.randrange(256) for _ in range(random.randrange(1, 200))) for _ in range(200)]
        # Seemingly ours, with bodies of noise; the correlation ids are small, so that an answer would be seen.
        for template in (1, 3, 5, 8):
            layout = wire.BY_ID[901, template]
            noise.append(struct.pack("<HHHH", layout.block, template, 901, 3) + bytes(layout.block + 16))
        noise = [each for each in noise if each[2:6] != request[2:6] or len(each) < 35 or each[6:8] == b"\1\0"]
        for each in noise:
            asker.send(each)
        self.served(asker)
        unasked = [each for each in asker.all("ShmAttachResponse")[heard:-1] if each["correlationId"] == 1]
        self.assertEqual(unasked, [], "an answer to what cannot be parsed")
        self.assertGreater(driver.stop()["malformed"], 20)

    def test_repeats_its_answer_to_a_repeated_request(self):
        # D-17, D-21
        self.stage.driver()
        asker = self.asker()
        first = asker.ask(self.stage, 10000, PRODUCER, 5, expect=wire.OK, correlationId=900)
        second = asker.ask(self.stage, 10000, PRODUCER, 5, expect=wire.OK, correlationId=900)
        for field in ("leaseId", "epoch", "headerRegionUri", "payloadPools", "nodeId"):
            self.assertEqual(first[field], second[field])
        self.assertEqual(asker.ask(self.stage, 10000, PRODUCER, 5, correlationId=901)["code"], wire.REJECTED)
        self.assertEqual(len({each["epoch"] for each in asker.all("ShmPoolAnnounce")}), 1)

    def test_keeps_leases_alive_by_exact_keepalives_alone_and_expires_the_others(self):
        # D-23, D-24, D-25, D-28, D-30, D-32, D-45
        self.stage.driver(policies=SHORT_LEASES + "node_id_reuse_cooldown_ms = 60000")
        asker = self.asker()
        producer = asker.ask(self.stage, 10000, PRODUCER, 1, expect=wire.OK)
        kept, starved = (asker.ask(self.stage, 10000, CONSUMER, client, expect=wire.OK) for client in (2, 3))

        def keep_alive():
            asker.keepalive(kept, CONSUMER, 2)
            # One field wrong each: none of these counts.
            asker.keepalive(starved, CONSUMER, 4)
            asker.keepalive(starved, PRODUCER, 3)
            asker.keepalive(starved, CONSUMER, 3, streamId=10001)
            return len(asker.all("ShmLeaseRevoked")) >= 2

        self.until(keep_alive, "two leases to expire")
        revoked = {each["leaseId"]: each for each in asker.all("ShmLeaseRevoked")}
        self.assertEqual(set(revoked), {producer["leaseId"], starved["leaseId"]})
        for lease, client, role in ((producer, 1, PRODUCER), (starved, 3, CONSUMER)):
            notice = revoked[lease["leaseId"]]
            self.assertEqual((notice["streamId"], notice["clientId"], notice["role"], notice["reason"]), (10000, client, role, wire.EXPIRED))
        # The end of the producer's lease: notice, then an announce of a higher epoch, of nobody.
        self.until(lambda: any(each["epoch"] > producer["epoch"] for each in asker.all("ShmPoolAnnounce")), "the next epoch")
        after = next(each for each in asker.all("ShmPoolAnnounce") if each["epoch"] > producer["epoch"])
        self.assertEqual(after["producerId"], 0)
        self.assertLessEqual(revoked[producer["leaseId"]]["timestampNs"], after["announceTimestampNs"])
        order = [name for name, body in asker.heard if name == "ShmLeaseRevoked" and body["role"] == PRODUCER or
                 name == "ShmPoolAnnounce" and body["epoch"] == after["epoch"]]
        self.assertEqual(order[0], "ShmLeaseRevoked")
        # A dead lease is not brought back, and its end is told once. An unknown one is told once, too.
        for _ in range(3):
            asker.keepalive(starved, CONSUMER, 3)
            asker.keepalive(dict(leaseId=12345, streamId=10000), CONSUMER, 99)
        self.until(lambda: asker.all("ShmLeaseRevoked", leaseId=12345), "the notice of an unknown lease")
        again = asker.ask(self.stage, 10000, CONSUMER, 3, expect=wire.OK)
        self.assertEqual(again["nodeId"], starved["nodeId"], "the same client gets its node again")
        stranger = asker.ask(self.stage, 10000, CONSUMER, 5, expect=wire.OK)
        self.assertNotIn(stranger["nodeId"], (producer["nodeId"], starved["nodeId"], kept["nodeId"]), "others do not")
        self.assertEqual([len(asker.all("ShmLeaseRevoked", leaseId=lease)) for lease in (12345, starved["leaseId"], producer["leaseId"])], [1, 1, 1])
        unknown = asker.all("ShmLeaseRevoked", leaseId=12345)[0]
        self.assertEqual((unknown["clientId"], unknown["role"], unknown["reason"]), (99, CONSUMER, wire.REVOKED))

    def test_detaches_who_names_all_of_the_lease_and_nobody_else(self):
        # D-9, D-25, D-26, D-27, D-32, D-45, D-63
        self.stage.driver()
        asker = self.asker()
        producer = asker.ask(self.stage, 10000, PRODUCER, 1, expect=wire.OK)
        consumer = asker.ask(self.stage, 10000, CONSUMER, 2, expect=wire.OK)
        for changes in (dict(leaseId=producer["leaseId"] + 1000), dict(streamId=10001), dict(clientId=9), dict(role=CONSUMER)):
            self.assertEqual(asker.detach(self.stage, producer, PRODUCER, 1, **changes)["code"], wire.REJECTED, changes)
        for role in (0, 3, 255):
            self.assertEqual(asker.detach(self.stage, producer, PRODUCER, 1, role=role)["code"], wire.INVALID_PARAMS)
        self.assertEqual(asker.all("ShmLeaseRevoked"), [], "nothing has ended")
        mark = len(asker.heard)
        self.assertEqual(asker.detach(self.stage, producer, PRODUCER, 1)["code"], wire.OK)
        order = [(name, body.get("producerId")) for name, body in asker.heard[mark:]
                 if name in ("ShmLeaseRevoked", "ShmDetachResponse") or name == "ShmPoolAnnounce" and body["epoch"] > producer["epoch"]]
        self.assertEqual(order[:3], [("ShmLeaseRevoked", None), ("ShmPoolAnnounce", 0), ("ShmDetachResponse", None)])
        self.assertEqual(asker.all("ShmLeaseRevoked")[0]["reason"], wire.DETACHED)
        self.assertIn(asker.detach(self.stage, producer, PRODUCER, 1)["code"], (wire.OK, wire.REJECTED), "a second one does no harm")
        self.assertEqual(asker.detach(self.stage, consumer, CONSUMER, 2)["code"], wire.OK)
        self.assertEqual([each["leaseId"] for each in asker.all("ShmLeaseRevoked")], [producer["leaseId"], consumer["leaseId"]])
        # The next producer: a higher epoch still; its predecessor's notices all came before its answer.
        second = asker.ask(self.stage, 10000, PRODUCER, 1, expect=wire.OK)
        self.assertGreater(second["epoch"], max(each["epoch"] for each in asker.all("ShmPoolAnnounce", producerId=0)))
        self.assertGreater(second["leaseId"], producer["leaseId"])

    def test_speaks_with_ids_at_their_limits(self):
        # D-9, D-16, D-19, D-29, D-52
        self.stage.driver(streams={"least": (1, "small"), "most": (0xFFFFFFFE, "small")}, driver='stream_id_range = "4294967280-4294967281"',
                          policies="allow_dynamic_streams = true")
        asker = self.asker()
        for client_id, stream_id, correlation in ((0xFFFFFFFF, 1, (1 << 63) - 1), (0x80000000, 0xFFFFFFFE, -(1 << 63)), (1, 4294967280, 0)):
            lease = asker.ask(self.stage, stream_id, PRODUCER, client_id, expect=wire.OK, correlationId=correlation)
            self.assertEqual((lease["streamId"], lease["correlationId"]), (stream_id, correlation))
            self.until(lambda: asker.all("ShmPoolAnnounce", streamId=stream_id, producerId=client_id), "its announce")
            asker.keepalive(lease, PRODUCER, client_id)
            self.assertEqual(asker.detach(self.stage, lease, PRODUCER, client_id)["code"], wire.OK)
        lease = asker.ask(self.stage, 1, CONSUMER, 8, expect=wire.OK, desiredNodeId=0xFFFFFFFE)
        self.assertEqual(lease["nodeId"], 0xFFFFFFFE)

    def test_answers_in_many_fragments_where_one_is_too_small(self):
        # D-5, W-12
        pools = ", ".join(f"{{ pool_id = {index}, stride_bytes = 64 }}" for index in range(1, 61))
        self.stage.driver(profiles=f"[profiles.many]\nheader_nslots = 2\npayload_pools = [{pools}]", streams={"front": (10000, "many")})
        asker = self.asker(Planes())
        lease = asker.ask(self.stage, 10000, CONSUMER, 1, expect=wire.OK)
        self.assertEqual([pool["poolId"] for pool in lease["payloadPools"]], list(range(1, 61)))
        shm.Mapping(lease, allowed=(self.stage.base,)).close()
        self.assertEqual(asker.all("ShmPoolAnnounce")[-1]["payloadPools"], lease["payloadPools"])

    def test_gives_streams_of_their_own_to_consumers_that_hold_a_lease(self):
        # D-50, D-51, W-9, W-11, W-70, W-71, W-73
        self.stage.driver(driver='descriptor_stream_id_range = "31000-31001"\ncontrol_stream_id_range = "32000-32001"')
        asker = self.asker()
        leases = {client: asker.ask(self.stage, 10000, CONSUMER, client, expect=wire.OK) for client in (1, 2, 3)}
        channel = b"aeron:ipc?term-length=1m"

        def hello(client, **fields):
            asker.send("ConsumerHello", **{**dict(streamId=10000, consumerId=client), **fields})

        def configs(client, count):
            for each, lease in leases.items():
                asker.keepalive(lease, CONSUMER, each)
            return len(asker.all("ConsumerConfig", consumerId=client)) >= count

        def planes(config):
            return (config["descriptorStreamId"], config["descriptorChannel"], config["controlStreamId"], config["controlChannel"])

        # Without a lease: no answer. A token outside the range: an id of the range. Both planes: judged apart.
        hello(99, descriptorStreamId=5, descriptorChannel=channel)
        hello(1, descriptorStreamId=5, descriptorChannel=channel, mode=wire.RATE_LIMITED, maxRateHz=10)
        self.until(lambda: configs(1, 1), "a config")
        first = asker.all("ConsumerConfig", consumerId=1)[0]
        self.assertIn(first["descriptorStreamId"], (31000, 31001))
        self.assertEqual((first["descriptorChannel"], first["controlStreamId"], first["controlChannel"]), (channel, 0, b""))
        self.assertEqual((first["useShm"], first["mode"], first["streamId"]), (1, wire.RATE_LIMITED, 10000))
        # Half pairs, a null id, an id of 2^31: that plane is declined, the other one served.
        for index, half in enumerate((dict(descriptorStreamId=7), dict(descriptorChannel=channel), dict(descriptorStreamId=wire.NULL32, descriptorChannel=channel),
                                      dict(descriptorStreamId=0x80000000, descriptorChannel=channel))):
            hello(2, controlStreamId=32001, controlChannel=channel, progressIntervalUs=index, **half)
            self.until(lambda: configs(2, index + 1), f"a config for {half}")
            self.assertEqual(planes(asker.all("ConsumerConfig", consumerId=2)[-1]), (0, b"", 32001, channel))
        # The wanted id is given if it is free; the last one of the range; then none is left.
        hello(2, descriptorStreamId=31001 + 31000 - first["descriptorStreamId"], descriptorChannel=channel)
        self.until(lambda: configs(2, 5), "the second id")
        self.assertEqual({first["descriptorStreamId"], asker.all("ConsumerConfig", consumerId=2)[-1]["descriptorStreamId"]}, {31000, 31001})
        hello(3, descriptorStreamId=31000, descriptorChannel=channel)
        self.until(lambda: configs(3, 1), "the refusal of a third")
        self.assertEqual(planes(asker.all("ConsumerConfig", consumerId=3)[-1]), (0, b"", 0, b""))
        # Repeated hellos are not answered again; ids come back with the lease.
        for _ in range(5):
            hello(1, descriptorStreamId=5, descriptorChannel=channel, mode=wire.RATE_LIMITED, maxRateHz=10)
        asker.detach(self.stage, leases.pop(1), CONSUMER, 1)
        hello(3, descriptorStreamId=31000, descriptorChannel=channel, progressBytesDelta=9)
        self.until(lambda: configs(3, 2), "the freed id")
        self.assertEqual(asker.all("ConsumerConfig", consumerId=3)[-1]["descriptorStreamId"], first["descriptorStreamId"])
        self.assertEqual(len(asker.all("ConsumerConfig", consumerId=1)), 1)
        self.assertEqual(asker.all("ConsumerConfig", consumerId=99), [])

    def test_declines_streams_of_their_own_without_ranges(self):
        # D-50, W-70
        self.stage.driver()
        asker = self.asker()
        asker.ask(self.stage, 10000, CONSUMER, 1, expect=wire.OK)
        asker.send("ConsumerHello", streamId=10000, consumerId=1, descriptorStreamId=31000, descriptorChannel="aeron:ipc")
        self.until(lambda: asker.all("ConsumerConfig"), "a config")
        config = asker.all("ConsumerConfig")[0]
        self.assertEqual((config["descriptorStreamId"], config["descriptorChannel"]), (0, b""))

    def test_ends_on_the_right_token_alone(self):
        # D-46, D-47, D-43
        driver = self.stage.driver(policies='shutdown_token = "open sesame"\nshutdown_timeout_ms = 300')
        asker = self.asker()
        asker.ask(self.stage, 10000, PRODUCER, 1, expect=wire.OK)
        for token in ("", "open", "open sesam", "open sesame ", "OPEN SESAME", "x" * 5000):
            asker.send("ShmDriverShutdownRequest", correlationId=1, reason=1, token=token, errorMessage="please")
        asker.send("ShmDriverShutdownRequest", _lacking=1, correlationId=1, reason=1, token="open sesame")
        self.served(asker)
        announces = len(asker.all("ShmPoolAnnounce"))
        asker.send("ShmDriverShutdownRequest", correlationId=1, reason=1, token="open sesame", errorMessage="maintenance at noon")
        self.until(lambda: len(asker.all("ShmPoolAnnounce")) > announces, "the last announces")
        self.refused(asker.ask(self.stage, 10000, CONSUMER, 2), wire.REJECTED, "driver draining")
        self.until(lambda: asker.all("ShmDriverShutdown"), "the notice")
        notice = asker.all("ShmDriverShutdown")[0]
        self.assertEqual((notice["reason"], notice["errorMessage"]), (1, b"maintenance at noon"))
        self.assertEqual(asker.all("ShmLeaseRevoked", role=PRODUCER), [], "the notice ends all leases at once")
        driver.wait()
        self.assertNotIn("open sesame", driver.log())

    def test_comes_back_after_a_crash_with_higher_epochs_and_no_old_leases(self):
        # D-28, D-31, D-32, D-42, D-43
        config = self.stage.write_config()
        driver = self.stage.driver(config)
        asker = self.asker()
        old = asker.ask(self.stage, 10000, PRODUCER, 1, expect=wire.OK)
        mapping = shm.Mapping(old, write=True, allowed=(self.stage.base,))
        driver.kill()
        mark = len(asker.heard)
        self.stage.driver(config)
        mapping.touch()  # the memory of the dead driver's epoch is still ours
        asker.keepalive(old, PRODUCER, 1)
        self.until(lambda: asker.all("ShmLeaseRevoked", leaseId=old["leaseId"]), "word that the lease is void")
        self.assertEqual([body for name, body in asker.heard[mark:] if name == "ShmPoolAnnounce"], [], "nothing to announce before the first attach")
        new = asker.ask(self.stage, 10000, PRODUCER, 1, expect=wire.OK)
        self.assertGreater(new["epoch"], old["epoch"])
        self.assertNotEqual(new["leaseId"], old["leaseId"])
        self.assertNotEqual(new["headerRegionUri"], old["headerRegionUri"])
        mapping.close()

    def test_keeps_idle_streams_fresh_and_leaves_them_to_their_producer(self):
        # D-41, D-43, W-62
        self.stage.driver()
        asker = self.asker()
        asker.ask(self.stage, 10000, CONSUMER, 1, expect=wire.OK)
        idle = asker.all("ShmPoolAnnounce")[-1]
        mapping = shm.Mapping(idle, allowed=(self.stage.base,))
        first = [region.superblock()["activity_ns"] for region in mapping.regions]
        self.until(lambda: all(region.superblock()["activity_ns"] > before for region, before in zip(mapping.regions, first)), "activity in all regions")
        lease = asker.ask(self.stage, 10000, PRODUCER, 2, expect=wire.OK)
        owned = shm.Mapping(lease, write=True, allowed=(self.stage.base,))
        for region in owned.regions:
            region.touch(4711)
        self.until(lambda: len(asker.all("ShmPoolAnnounce", epoch=lease["epoch"])) >= 5, "some periods")
        self.assertEqual({region.superblock()["activity_ns"] for region in owned.regions}, {4711}, "it is the producer's")
        mapping.close()
        owned.close()

    def test_announces_on_a_stream_of_their_own(self):
        # D-1, D-43, W-14
        self.stage.driver(driver="announce_stream_id = 1001")
        planes = Planes(announce=(CONTROL[0], 1001))
        asker = self.asker(planes)
        lease = asker.ask(self.stage, 10000, PRODUCER, 1, expect=wire.OK)
        self.until(lambda: asker.all("ShmPoolAnnounce", epoch=lease["epoch"]), "its announce")
        only_control = self.stage.add(Asker(self.stage.client()))
        asker.keepalive(lease, PRODUCER, 1)
        count = len(asker.all("ShmPoolAnnounce"))
        self.until(lambda: len(asker.all("ShmPoolAnnounce")) > count + 2, "more of them")
        self.assertEqual(only_control.all("ShmPoolAnnounce"), [])


if __name__ == "__main__":
    unittest.main()

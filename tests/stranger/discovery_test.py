"""Discovery in both directions: our service asked by a stranger, a stranger's service asked by ours."""

import socket
import struct
import unittest

import shm
import wire
from attach import Planes
from discovery import Query, Service
from driver import Driver
from producer import Producer, own_pools
from stage import CONTROL, Asker, Case, Feeder

CHANNEL = "aeron:ipc?term-length=1m"
TAGS = '[discovery]\n[[discovery.streams]]\nstream_id = 10000\ntags = ["left", "Calibrated"]\ndata_source_id = 4711\n'


class OurDiscovery(Case):
    """`tidepool discovery serve` beside our driver, one strange producer with a name, one strange asker."""

    def begin(self, rest=TAGS, **config):
        rest = rest.replace("[discovery]\n", "[discovery]\nmax_requests_per_second = 0\n")
        config = self.stage.write_config(streams={"front": (10000, "small"), "side": (10001, "small")}, rest=rest, **config)
        self.stage.driver(config)
        self.serve = self.stage.run("discovery", "serve", "--json", "--config", config)
        self.until(self.serve.ready, "the service")
        self.query = self.stage.add(Query(self.stage.client()))
        self.until(self.query.publication.connected, "the service's subscription")

    def ask(self, **asked):
        request_id = self.query.send(**asked)
        self.until(lambda: self.query.answers.get(request_id), f"the answer to {asked}")
        answer = self.query.answers[request_id][0]
        self.assertEqual(answer["requestId"], request_id)
        return answer

    def producer(self, stream_id=10000, name="cam-Ä"):
        feeder = self.stage.add(Feeder(Producer(self.stage.client(), stream_id), rate=10))
        feeder.producer.set_source(name, "a camera")
        self.until(feeder.producer.ready, "the lease")
        self.until(lambda: any(result["dataSourceName"] == name.encode() for result in self.ask()["results"]), "the index to know the name")
        return feeder.producer

    def test_answers_every_filter_alone_and_together(self):
        # DS-1, DS-5, DS-7, DS-8, DS-9, DS-18, DS-19, DS-20, DS-24, DS-25, DS-26, DS-28
        self.begin()
        self.assertEqual((self.ask()["status"], self.ask()["results"], self.ask()["errorMessage"]), (wire.FOUND, [], b""))
        producer = self.producer()
        result = self.ask(streamId=10000)["results"][0]
        self.assertEqual({key: result[key] for key in ("streamId", "producerId", "epoch", "layoutVersion", "headerNslots", "headerSlotBytes", "maxDims",
                                                       "dataSourceId", "driverControlStreamId", "driverInstanceId", "driverControlChannel",
                                                       "headerRegionUri", "payloadPools")},
                         dict(streamId=10000, producerId=producer.producer_id, epoch=producer.epoch, layoutVersion=1, headerNslots=64, headerSlotBytes=256,
                              maxDims=8, dataSourceId=4711, driverControlStreamId=1000, driverInstanceId=b"ours",
                              driverControlChannel=CONTROL[0].encode(), headerRegionUri=producer.what["headerRegionUri"],
                              payloadPools=producer.what["payloadPools"]))
        self.assertEqual(sorted(result["tags"]), [b"Calibrated", b"left"])
        name = "cam-Ä".encode()
        for filters, found in ((dict(producerId=producer.producer_id), True), (dict(producerId=producer.producer_id ^ 1), False), (dict(producerId=0), False),
                               (dict(dataSourceId=4711), True), (dict(dataSourceId=0), False), (dict(streamId=0), False), (dict(streamId=10001), False),
                               (dict(dataSourceName=name), True), (dict(dataSourceName=name[:-1]), False), (dict(dataSourceName=b"CAM-\xc3\x84"), False),
                               (dict(tags=["left"]), True), (dict(tags=["left", "Calibrated", "left", ""]), True), (dict(tags=["Left"]), False),
                               (dict(tags=["left", "right"]), False), (dict(tags=[""]), True), (dict(tags=["lef"]), False),
                               (dict(streamId=10000, producerId=producer.producer_id, dataSourceId=4711, dataSourceName=name, tags=["left"]), True),
                               (dict(streamId=10000, producerId=producer.producer_id, dataSourceId=4711, dataSourceName=name, tags=["x"]), False)):
            answer = self.ask(**filters)
            self.assertEqual((answer["status"], len(answer["results"]), answer["errorMessage"]), (wire.FOUND, int(found), b""), filters)
        # The bytes themselves: the dialect of the schema, an empty text at the end.
        raw = next(data for data in reversed(self.query.raw) if len(data) > 100)
        self.assertEqual(struct.unpack_from("<HHHH", raw), (9, 2, 910, 1))
        self.assertEqual(struct.unpack_from("<HH", raw, 17), (39, 1))
        self.assertEqual(raw[-4:], b"\0\0\0\0")
        self.assertIn(struct.pack("<HHI", 0, 2, 4) + b"left", raw)

    def test_answers_both_dialects_on_the_endpoint_that_is_named(self):
        # DS-4, DS-5, DS-8, DS-22, DS-23, DS-29, DS-33, DS-36, DS-40
        self.begin()
        self.producer()
        for options in (dict(_group_block=4), dict(_lacking=1), dict(_tail=b"trailing bytes")):
            self.assertEqual(len(self.ask(options=options, tags=["left"])["results"]), 1, options)
        self.assertEqual(len(self.ask(responseChannel="aeron:ipc")["results"]), 1, "a channel without parameters")
        other = self.stage.add(Query(self.stage.client(), response=(CHANNEL, 7200)))
        request_id = other.send()
        self.until(lambda: other.answers.get(request_id), "the answer on another endpoint")
        self.assertNotIn(request_id, self.query.answers)
        zero, data = self.query.ask(requestId=0)
        self.query.publication.offer(data)
        self.until(lambda: self.query.answers.get(0), "the answer to request 0")
        # None of these is answered, and none of them does any harm.
        request_id, good = self.query.ask()
        broken = [good[:cut] for cut in range(4, len(good) - 4)]
        broken.append(struct.pack("<HHHH", 33, 1, 910, 1) + good[8:40] + b"\0" + good[40:])
        broken += [struct.pack("<HHHH", 32, 1, 910, version) + good[8:] for version in (0, 2)]
        broken.append(struct.pack(">HHHH", 32, 1, 910, 1) + good[8:])
        broken.append(good[:40] + struct.pack("<HH", 0, 65534) + good[44:])
        broken.append(good[:40] + struct.pack("<HH", 3, 0) + good[44:])
        for fields in (dict(responseChannel=""), dict(responseStreamId=0), dict(responseStreamId=0x80000000), dict(responseStreamId=wire.NULL32),
                       dict(responseChannel="aeron-spy:aeron:ipc"), dict(responseChannel="aeron:udp?endpoint=127.0.0.1:1"), dict(responseChannel="file:///tmp"),
                       dict(responseChannel="aeron:ipc?" + "x" * 2000), dict(responseChannel=b"aeron:ipc?\0\xff"), dict(responseChannel="ipc")):
            broken.append(self.query.ask(requestId=request_id, **fields)[1])
        for each in broken:
            while self.query.publication.offer(each) < 0:
                self.stage.step()
        self.assertEqual(len(self.ask()["results"]), 1)
        self.assertNotIn(request_id, self.query.answers)
        result = self.serve.stop()
        self.assertGreaterEqual(result["malformed"], len(good) - 20)
        self.assertEqual((result["requests_without_channel"], result["requests_bad_stream"]), (1, 3))

    def test_lists_only_what_is_announced_and_whole(self):
        # DS-2, DS-10, DS-11, DS-12, DS-13, DS-14, DS-17
        self.begin(rest="[discovery]\nexpiry_ns = 60000000000\n")
        out = self.stage.add(Asker(self.stage.client()))
        metadata = out.subscriptions[0] and self.stage.clients[-1].publication(CONTROL[0], 1300)
        self.until(metadata.connected, "the service's metadata subscription")
        pool = dict(poolId=1, poolNslots=8, strideBytes=64, regionUri="shm:file?path=/dev/shm/none/1.pool")
        good = dict(streamId=55, producerId=9, epoch=100, announceTimestampNs=1, headerNslots=8, payloadPools=[pool], headerRegionUri="shm:file?path=/h")
        metadata.offer(wire.encode("DataSourceAnnounce", streamId=55, producerId=9, epoch=999, metaVersion=1, name="early"))
        out.send("DiscoveryResponse", results=[])
        for changes in (dict(streamId=0), dict(headerSlotBytes=128), dict(headerNslots=0), dict(payloadPools=[]), dict(headerRegionUri=""),
                        dict(payloadPools=[dict(pool, poolNslots=16)]), dict(payloadPools=[dict(pool, regionUri="")]),
                        dict(payloadPools=[dict(pool, regionUri="shm:file?path=/" + "x" * 5000)])):
            out.send("ShmPoolAnnounce", **{**good, **changes})
        out.send(wire.encode("ShmPoolAnnounce", **good)[:-3])
        out.send("ShmPoolAnnounce", _version=2, **good)
        self.assertEqual(self.ask(streamId=55)["results"], [], "neither a name nor broken announces make an entry")
        out.send("ShmPoolAnnounce", **good)
        self.until(lambda: self.ask(streamId=55)["results"], "the entry")
        result = self.ask(streamId=55)["results"][0]
        self.assertEqual((result["epoch"], result["dataSourceName"]), (100, b"early"))
        for epoch, stored in ((99, 100), (100, 100), (101, 101), (wire.NULL64 - 1, wire.NULL64 - 1)):
            out.send("ShmPoolAnnounce", **{**good, "epoch": epoch, "producerId": epoch & 0xFF})
            self.until(lambda: self.ask(streamId=55)["results"][0]["epoch"] == stored, f"epoch {stored}")
            self.assertEqual(self.ask(streamId=55)["results"][0]["dataSourceName"], b"early", "the name stays")

    def test_refuses_to_cut_what_is_too_much(self):
        # DS-12, DS-15, DS-28, DS-30
        self.begin(rest="[discovery]\nexpiry_ns = 60000000000\nmax_results = 20\n")
        out = self.stage.add(Asker(self.stage.client()))
        pool = dict(poolNslots=8, strideBytes=64)
        for stream_id in range(100, 120):
            pools = [dict(pool, poolId=index, regionUri=f"shm:file?path=/dev/shm/{'x' * 200}/{index}.pool") for index in range(1, 5)]
            out.send("ShmPoolAnnounce", streamId=stream_id, epoch=7, announceTimestampNs=1, headerNslots=8, payloadPools=pools, headerRegionUri="shm:file?path=/h")
        self.until(lambda: len(self.ask()["results"]) == 20, "twenty entries, in one answer of many fragments")
        self.assertGreater(max(map(len, self.query.raw)), 20 * 4 * 200)
        self.assertEqual([result["streamId"] for result in self.ask()["results"]], list(range(100, 120)))
        small = self.stage.add(Query(self.stage.client(), response=("aeron:ipc?term-length=64k", 7300)))
        request_id = small.send()
        self.until(lambda: small.answers.get(request_id), "word that the answer is too large")
        answer = small.answers[request_id][0]
        self.assertEqual((answer["status"], answer["results"], answer["errorMessage"]), (wire.ERROR, [], b"response too large"))
        out.send("ShmPoolAnnounce", streamId=120, epoch=7, announceTimestampNs=1, headerNslots=8, payloadPools=[dict(pool, poolId=1, regionUri="shm:file?path=/p")],
                 headerRegionUri="shm:file?path=/h")
        self.until(lambda: self.ask()["status"] == wire.ERROR, "word that the limit is exceeded")
        answer = self.ask()
        self.assertEqual((answer["results"], answer["errorMessage"]), ([], b"result limit exceeded"))

    def test_forgets_who_is_not_announced_any_more(self):
        # DS-13, DS-15, DS-16, DS-31
        self.begin(rest="[discovery]\nexpiry_ns = 400000000\n")
        out = self.stage.add(Asker(self.stage.client()))
        metadata = self.stage.clients[-1].publication(CONTROL[0], 1300)
        good = dict(streamId=55, epoch=100, announceTimestampNs=1, headerNslots=8, headerRegionUri="shm:file?path=/h",
                    payloadPools=[dict(poolId=1, poolNslots=8, strideBytes=64, regionUri="shm:file?path=/p")])
        out.send("ShmPoolAnnounce", **good)
        self.until(lambda: self.ask()["results"], "the entry")

        def gone():
            metadata.offer(wire.encode("DataSourceAnnounce", streamId=55, epoch=100, metaVersion=1, name="still here"))  # prolongs nothing
            return not self.ask(streamId=55)["results"]

        self.until(gone, "the entry to expire")
        out.send("ShmPoolAnnounce", **{**good, "epoch": 3})
        self.until(lambda: self.ask()["results"], "a lower epoch, once the old one has expired")
        self.assertEqual(self.ask()["results"][0]["epoch"], 3)


    def test_answers_over_udp(self):
        # DS-5, DS-30, DS-36
        ports = []
        for _ in range(2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        requests, responses = (f"aeron:udp?endpoint=127.0.0.1:{port}" for port in ports)
        config = self.stage.write_config(rest=f'[discovery]\nrequest_channel = "{requests}"\nexpiry_ns = 60000000000\n')
        self.serve = self.stage.run("discovery", "serve", "--json", "--config", config)
        self.until(self.serve.ready, "the service")
        out = self.stage.add(Asker(self.stage.client()))
        pools = [dict(poolId=index, poolNslots=8, strideBytes=64, regionUri=f"shm:file?path=/dev/shm/{'x' * 500}/{index}.pool") for index in range(1, 9)]
        self.until(out.out.connected, "the service's announce subscription")
        out.send("ShmPoolAnnounce", streamId=55, epoch=7, announceTimestampNs=1, headerNslots=8, payloadPools=pools, headerRegionUri="shm:file?path=/h")
        self.query = self.stage.add(Query(self.stage.client(), response=(responses, 7004), requests=(requests, 7000)))
        self.until(self.query.publication.connected, "the service's subscription")
        self.until(lambda: self.ask(streamId=55)["results"], "the entry")
        self.assertEqual([pool["regionUri"] for pool in self.ask(streamId=55)["results"][0]["payloadPools"]], [pool["regionUri"].encode() for pool in pools])
        # A service that is asked over UDP opens no IPC for anybody.
        request_id, data = self.query.ask(responseChannel="aeron:ipc", responseStreamId=7300)
        self.query.publication.offer(data)
        self.ask()
        self.assertEqual(self.serve.stop()["requests_refused"], 1)


    def test_lists_a_strange_driver(self):
        # DS-2, DS-10, DS-41, P-11: ours asks ours about a stranger's stream, and attaches there
        control = (CONTROL[0], 1900)
        config = self.stage.write_config(rest=f'[discovery]\ndriver_instance_id = "stranger"\nannounce_channel = "{control[0]}"\nannounce_stream_id = 1900\n'
                                              f'driver_control_channel = "{control[0]}"\ndriver_control_stream_id = 1900\n'
                                              f'metadata_channel = "{control[0]}"\nmetadata_stream_id = 1300\n')
        self.serve = self.stage.run("discovery", "serve", "--json", "--config", config)
        self.until(self.serve.ready, "the service")
        client = self.stage.client()
        self.stage.add(Driver(client, self.stage.base, control=control, streams={10000: (64, [shm.Pool(1, 8192)])}))
        feeder = self.stage.add(Feeder(Producer(client, 10000, Planes(control=control))))
        feeder.producer.set_source("strange-cam")
        query = lambda: self.stage.run("discovery", "query", "strange-cam", "--json", "--timeout-ms", 500).wait(None)
        self.until(lambda: query().process.returncode == 0, "our query to find it")
        result = self.stage.commands[-1].result()["results"][0]
        self.assertEqual((result["driver_instance_id"], result["driver_control_stream_id"], result["producer_id"]), ("stranger", 1900, feeder.producer.producer_id))
        subscribe = self.stage.run("subscribe", "--stream", "strange-cam", "--metadata-stream", 1399, "--frames", 20, "--verify", "check", "--json")
        self.assertEqual(subscribe.wait().result()["verified"], 20)


class StrangeDiscovery(Case):
    """A stranger's service, asked by `tidepool discovery query` and by subscribe --stream NAME."""

    def begin(self, control=CONTROL):
        client = self.stage.client()
        self.driver = self.stage.add(Driver(client, self.stage.base, control=control, streams={10000: (64, [shm.Pool(1, 8192)])}))
        self.service = self.stage.add(Service(client, "strange-driver", control))

    def our_query(self, *arguments, code=0):
        return self.stage.run("discovery", "query", "--json", "--timeout-ms", 3000, "--retry-ms", 100, *arguments).wait(code).result()

    def named_producer(self, planes=None):
        feeder = self.stage.add(Feeder(Producer(self.stage.client(), 10000, planes or Planes())))
        feeder.producer.set_source("strange-cam", "over there")
        self.until(lambda: self.service.names.get(10000) and self.service.entries.get(10000), "the index")
        return feeder.producer

    def test_our_query_reads_what_a_stranger_answers(self):
        # DS-33, DS-34, DS-35, DS-40, DS-42
        self.begin()
        producer = self.named_producer()
        self.service.tags[10000] = ["left", "right"]
        result = self.our_query("strange-cam")
        self.assertEqual((result["status"], len(result["results"])), ("OK", 1))
        found = result["results"][0]
        self.assertEqual({key: found[key] for key in ("stream_id", "producer_id", "driver_instance_id", "driver_control_channel", "driver_control_stream_id",
                                                      "data_source_name", "tags", "max_dims", "header_nslots", "data_source_id")},
                         dict(stream_id=10000, producer_id=producer.producer_id, driver_instance_id="strange-driver", driver_control_channel=CONTROL[0],
                              driver_control_stream_id=1000, data_source_name="strange-cam", tags=["left", "right"], max_dims=8, header_nslots=64,
                              data_source_id=None))
        request = self.service.heard[-1]
        self.assertEqual((request["dataSourceName"], request["streamId"], request["producerId"], request["dataSourceId"], request["tags"]),
                         (b"strange-cam", wire.NULL32, wire.NULL32, wire.NULL64, []))
        self.assertEqual(request["requestId"] >> 32, request["clientId"])
        self.assertEqual(len(self.our_query("--tag", "left", "--tag", "right", "--stream-id", 10000, "--producer-id", producer.producer_id)["results"]), 1)
        self.assertEqual(self.service.heard[-1]["tags"], [b"left", b"right"])
        self.assertEqual(self.our_query("nobody", code=3)["results"], [])
        # The other dialect; longer entries; a text missing at the end.
        for self.service.options in (dict(_group_block=4), dict(_entry_extra=b"newer"), dict(_lacking=1), dict(_tail=b"trailing")):
            self.assertEqual([each["stream_id"] for each in self.our_query()["results"]], [10000], self.service.options)
        self.service.options = {}
        # NOT_FOUND is nothing, ERROR fails with the text, an unknown status is one, whatever the results say.
        self.service.edit = lambda _request, fields: {**fields, "status": wire.NOT_FOUND, "results": []}
        self.assertEqual(self.our_query(code=3)["status"], "NOT_FOUND")
        for status in (wire.ERROR, 0, 7, 255):
            self.service.edit = lambda _request, fields: {**fields, "status": status, "errorMessage": "no entry\nfor \x1b[31myou"}
            answer = self.our_query(code=1)
            self.assertNotIn("\x1b", self.stage.commands[-1].log())
            self.assertEqual(answer.get("status", "ERROR"), "ERROR")
        # Only whole results count: one bad among good ones is left out.
        bad = (dict(driverControlChannel=""), dict(driverControlStreamId=0), dict(headerSlotBytes=128), dict(maxDims=4), dict(payloadPools=[]),
               dict(headerRegionUri=""), dict(headerNslots=32), dict(driverControlStreamId=0x80000001))
        self.service.edit = lambda _request, fields: {**fields, "results": [{**fields["results"][0], "streamId": 20000 + index, **changes}
                                                                             for index, changes in enumerate(bad)] + fields["results"]
                                                      + [{**fields["results"][0], "epoch": 1}]}
        answer = self.our_query()
        self.assertEqual([(each["stream_id"], each["epoch"]) for each in answer["results"]], [(10000, producer.epoch)])
        # Nonsense before the answer: other ids, versions, cut messages. Then the answer.
        def noisy(_request, fields):
            good = wire.encode("DiscoveryResponse", **fields)
            key = next(iter(self.service.publications.values()), None)
            if key:
                for each in (good[:-9], good[:30], wire.encode("DiscoveryResponse", _version=2, **fields), wire.encode("DiscoveryResponse", requestId=5),
                             struct.pack("<HHHH", 10, 2, 910, 1) + good[8:]):
                    key.offer(each)
            return fields
        self.service.edit = noisy
        self.assertEqual(len(self.our_query()["results"]), 1)
        # Nobody answers at all.
        self.service.edit = lambda _request, _fields: None
        self.stage.run("discovery", "query", "--json", "--timeout-ms", 300, "--retry-ms", 100).wait(1)

    def test_our_subscribe_finds_a_strange_driver_by_name(self):
        # DS-1, DS-41, P-11
        control = (CONTROL[0], 1900)
        self.begin(control)
        self.named_producer(Planes(control=control, metadata=(CONTROL[0], 1300)))
        subscribe = self.stage.run("subscribe", "--stream", "strange-cam", "--metadata-stream", 1399, "--frames", 20, "--verify", "check", "--json")
        result = subscribe.wait().result()
        self.assertEqual((result["stream_id"], result["verified"], result["bad"]), (10000, 20, 0))
        self.assertTrue([fields for name, fields in self.driver.heard if name == "ShmAttachRequest" and fields["role"] == wire.CONSUMER])

    def test_two_strangers_of_one_name_are_told_apart_and_not_guessed(self):
        # DS-3, DS-41
        self.begin()
        self.named_producer()
        self.service.edit = lambda _request, fields: {**fields, "results": fields["results"] + [{**fields["results"][0], "driverInstanceId": "another-driver",
                                                                                                  "driverControlStreamId": 1950}]}
        subscribe = self.stage.run("subscribe", "--stream", "strange-cam", "--metadata-stream", 1399, "--frames", 1)
        subscribe.wait(1)
        self.assertIn("strange-driver", subscribe.log())
        self.assertIn("another-driver", subscribe.log())

    def test_our_subscribe_finds_a_producer_without_a_driver_by_its_name(self):
        # W-87, P-11
        feeder = self.stage.add(Feeder(Producer(self.stage.client(), 12345, own=own_pools(self.stage.base, nslots=64))))
        feeder.producer.set_source("lonely-cam")
        result = self.stage.run("subscribe", "--stream", "lonely-cam", "--no-driver", "--frames", 20, "--verify", "check", "--json").wait().result()
        self.assertEqual((result["stream_id"], result["verified"]), (12345, 20))


if __name__ == "__main__":
    unittest.main()

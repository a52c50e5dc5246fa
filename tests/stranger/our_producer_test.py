"""Our producer (`tidepool publish`) before a stranger's consumers: hellos of every kind, rates, progress, metadata, pools."""

import os
import unittest

import shm
import wire
from consumer import Consumer
from stage import CONTROL, Asker, Case

IPC = "aeron:ipc?term-length=1m"


class OurProducer(Case):
    """No driver, so that our producer answers hellos itself, at once."""

    def publish(self, *more, shape="4096", rate=200, **env):
        return self.stage.run("publish", "--stream", 10000, "--pattern", "check", "--shape", shape, "--rate", rate, "--json", "--no-driver", "--base-dir",
                              self.stage.base, *more, **{"PRODUCER_ANNOUNCE_INTERVAL_MS": 200, **env})

    def consumer(self, client=None, **options):
        return self.stage.add(Consumer(client or self.stage.client(), 10000, announce_only=True, **options))

    def whole(self, consumer, length=4096):
        for _, seq, _, payload in consumer.frames:
            self.assertEqual(payload, shm.check_pattern(seq, length))
        self.assertEqual(consumer.refused, [])

    def test_gives_each_consumer_the_stream_that_it_asks_for(self):
        # W-52, W-70, W-71, W-72, W-73, W-75
        publish = self.publish()
        client = self.stage.client()
        shared, own = self.consumer(client), self.consumer(client, own_descriptors=(IPC, 31005), own_control=(IPC, 32005))
        self.until(lambda: own.own_in and len([each for each in own.descriptors if each[0] == 31005]) > 20, "descriptors on its own stream")
        self.until(lambda: len(shared.frames) > 20, "frames on the shared one")
        config = own.configs[-1]
        self.assertEqual((config["descriptorStreamId"], config["descriptorChannel"], config["controlStreamId"], config["useShm"], config["mode"]),
                         (31005, IPC.encode(), 32005, 1, wire.STREAM))
        self.assertEqual(shared.configs, [], "nobody who did not ask is answered")
        self.whole(own)
        self.whole(shared)
        count = len(own.configs)
        self.until(lambda: len(own.frames) > 100, "more frames")
        self.assertEqual(len(own.configs), count, "repeated hellos are not answered again")
        # Asked for no more: given up.
        own.hello = dict(supportsProgress=0)
        self.until(lambda: own.own_in is None or not own.own_in.connected(), "our producer to close that stream")
        self.until(lambda: publish.stop()["own_descriptors_sent"] > 20, "the end")

    def test_judges_each_part_of_a_hello_by_itself(self):
        # W-9, W-11, W-70, W-71
        self.publish()
        asker = self.stage.add(Asker(self.stage.client()))
        self.until(lambda: asker.all("ShmPoolAnnounce"), "our producer")
        good = dict(controlStreamId=32001, controlChannel=IPC)
        cases = [
            (dict(descriptorStreamId=31001), None), (dict(descriptorChannel=IPC), None), (dict(descriptorStreamId=wire.NULL32), None),
            (dict(descriptorStreamId=0x80000000, descriptorChannel=IPC), None), (dict(descriptorStreamId=0xFFFFFFFE, descriptorChannel=IPC), None),
            (dict(descriptorStreamId=1100, descriptorChannel=CONTROL[0]), None), (dict(descriptorStreamId=1000, descriptorChannel="aeron:ipc"), None),
            (dict(descriptorStreamId=31001, descriptorChannel="aeron-spy:aeron:ipc"), None), (dict(descriptorStreamId=31001, descriptorChannel="file:/x"), None),
            (dict(descriptorStreamId=31001, descriptorChannel="aeron:ipc?" + "x" * 5000), None), (dict(descriptorStreamId=31001, descriptorChannel=b"\0\xff"), None),
            (dict(descriptorStreamId=31002, descriptorChannel=IPC), 31002), (dict(descriptorStreamId=0x7FFFFFFF, descriptorChannel=IPC), 0x7FFFFFFF),
            (dict(descriptorStreamId=1, descriptorChannel=IPC), 1),
        ]
        for index, (wish, granted) in enumerate(cases):
            consumer_id = 100 + index
            asker.send("ConsumerHello", streamId=10000, consumerId=consumer_id, **{**good, "controlStreamId": 32100 + index}, **wish)
            self.until(lambda: asker.all("ConsumerConfig", consumerId=consumer_id), f"an answer to {wish}")
            config = asker.all("ConsumerConfig", consumerId=consumer_id)[-1]
            self.assertEqual((config["descriptorStreamId"], bool(config["descriptorChannel"])), (granted or 0, granted is not None), wish)
            self.assertEqual((config["controlStreamId"], config["useShm"]), (32100 + index, 1), wish)
        # No shared memory, or another layout: told so. Broken ones, others' and newer ones: not answered.
        for index, fields in enumerate((dict(supportsShm=0), dict(expectedLayoutVersion=2), dict(expectedLayoutVersion=wire.NULL32))):
            asker.send("ConsumerHello", streamId=10000, consumerId=200 + index, **fields)
            self.until(lambda: asker.all("ConsumerConfig", consumerId=200 + index), f"an answer to {fields}")
            self.assertEqual(asker.all("ConsumerConfig", consumerId=200 + index)[0]["useShm"], 0)
        for index, fields in enumerate((dict(supportsShm=2), dict(supportsProgress=255), dict(mode=0), dict(mode=3), dict(streamId=10001), dict(_version=2),
                                        dict(_block_extra=b"x"))):
            asker.send("ConsumerHello", **{**dict(streamId=10000, consumerId=300 + index, supportsShm=1, descriptorStreamId=31300 + index, descriptorChannel=IPC),
                                           **fields})
        asker.send("ConsumerHello", _tail=b"trailing", streamId=10000, consumerId=0xFFFFFFFF, expectedLayoutVersion=0, descriptorStreamId=31400, descriptorChannel=IPC)
        self.until(lambda: asker.all("ConsumerConfig", consumerId=0xFFFFFFFF), "an answer to the last one")
        self.assertEqual([config for config in asker.all("ConsumerConfig") if 300 <= config["consumerId"] < 400], [])

    def test_gives_one_stream_to_one_consumer(self):
        # W-71, W-76
        self.publish(rate=400)
        asker = self.stage.add(Asker(self.stage.client()))
        self.until(lambda: asker.all("ShmPoolAnnounce"), "our producer")
        wish = dict(streamId=10000, descriptorStreamId=31001, descriptorChannel=IPC, mode=wire.RATE_LIMITED)
        for consumer_id, rate in ((1, 0), (2, 0xFFFFFFFF)):
            asker.send("ConsumerHello", consumerId=consumer_id, maxRateHz=rate, **wish)
            self.until(lambda: asker.all("ConsumerConfig", consumerId=consumer_id), "an answer")
        first, second = (asker.all("ConsumerConfig", consumerId=consumer_id)[0] for consumer_id in (1, 2))
        self.assertEqual((first["descriptorStreamId"], first["mode"]), (31001, wire.RATE_LIMITED))
        self.assertNotEqual(second["descriptorStreamId"], 31001)
        # No rate is no limit, on a stream of one's own as well.
        own = self.stage.clients[-1].subscription(IPC, 31001)
        heard = []
        self.until(lambda: heard.extend(own.poll()) or len(heard) >= 50, "descriptors")
        seqs = [wire.decode(message.data)[1]["seq"] for message in heard]
        self.assertEqual(seqs, list(range(seqs[0], seqs[0] + len(seqs))))

    def test_caps_the_rate_of_own_streams_alone(self):
        # W-76
        self.publish(rate=400)
        client = self.stage.client()
        hello = dict(mode=wire.RATE_LIMITED, maxRateHz=20)
        capped = self.consumer(client, own_descriptors=(IPC, 31005), hello=hello)
        shared = self.consumer(client, hello=hello)
        self.until(lambda: any(stream == 31005 for stream, _ in capped.descriptors), "the capped stream")
        own = [each for stream, each in capped.descriptors if stream == 31005]
        mark = own[0]["seq"], len(shared.frames)
        self.until(lambda: len([1 for stream, _ in capped.descriptors if stream == 31005]) > len(own) + 20, "twenty more")
        own = [each["seq"] for stream, each in capped.descriptors if stream == 31005]
        # 20 Hz of 400: every twentieth or so; never more often than every tenth on the whole, however the machine stutters.
        self.assertGreater(own[-1] - mark[0], 10 * (len(own) - 1))
        sent = [each["seq"] for _, each in shared.descriptors]
        self.assertEqual(sent, list(range(sent[0], sent[0] + len(sent))), "the shared stream is never thinned")
        self.whole(capped)

    def test_tells_how_far_a_frame_is_while_somebody_wants_to_know(self):
        # W-73, W-78, W-79
        self.publish("--progress", rate=20, PRODUCER_PROGRESS_BYTES_DELTA=100, PRODUCER_PROGRESS_INTERVAL_US=1)
        client = self.stage.client()
        plain = self.consumer(client)
        self.until(lambda: len(plain.frames) >= 3, "frames")
        self.assertEqual(plain.progresses, [], "nobody asked")
        own = self.consumer(client, supports_progress=True, own_control=(IPC, 32005), hello=dict(progressIntervalUs=1, progressBytesDelta=1))
        finished = lambda: {fields["seq"] for stream, fields, _ in own.progresses if stream == 32005 and fields["state"] == wire.COMPLETE}
        self.until(lambda: len(finished()) >= 5, "progress on its own stream")
        last, prefixes = {}, 0
        for stream, fields, prefix in own.progresses:
            state, filled = last.get(fields["seq"], (0, 0))
            self.assertTrue(fields["state"] >= state and filled <= fields["payloadBytesFilled"] <= 4096, fields)
            last[fields["seq"]] = fields["state"], fields["payloadBytesFilled"]
            if prefix:
                self.assertEqual(prefix, shm.check_pattern(fields["seq"], 4096)[:len(prefix)])
                prefixes += fields["payloadBytesFilled"] < 4096
        self.assertGreater(prefixes, 3, "prefixes can be read while a frame is written")
        # Whoever asked is gone: no more is told.
        own.hello = dict(supportsProgress=0)
        own.progress_in = None
        seq = own.last
        self.until(lambda: own.last and own.last > seq + 10, "more frames")
        mark = len(plain.progresses)
        seq = plain.last
        self.until(lambda: plain.last > seq + 10, "more frames")
        self.assertEqual(plain.progresses[mark:], [])

    def test_says_what_its_data_is_again_and_again(self):
        # W-8, W-12, W-87, W-90
        blob = os.path.join(self.stage.directory, "blob")
        with open(blob, "wb") as file:
            file.write(bytes(range(256)) * 600)
        early = self.consumer()
        self.publish("--name", "cam-Ä", "--summary", "left", "--attribute", "gain=1.5", "--attribute", "long=" + "x" * 3000, "--blob", f"7={blob}", rate=50)
        self.until(lambda: len(early.sources) >= 2 and len(early.attributes) >= 2, "metadata, repeated")
        self.assertEqual((early.sources[0]["name"], early.sources[0]["summary"]), ("cam-Ä".encode(), b"left"))
        self.assertEqual({each["key"]: (each["format"], each["value"]) for each in early.attributes[0]["attributes"]},
                         {b"gain": (b"text/plain", b"1.5"), b"long": (b"text/plain", b"x" * 3000)})
        self.assertEqual(early.sources[0]["metaVersion"], early.attributes[0]["metaVersion"])
        self.until(lambda: any(name == "MetaBlobComplete" for name, _ in early.blobs), "the blob")
        head, chunks, tail = early.blobs[0], [fields for name, fields in early.blobs if name == "MetaBlobChunk"], early.blobs[-1]
        self.assertEqual((head[0], head[1]["blobType"], head[1]["totalLen"], tail[0]), ("MetaBlobAnnounce", 7, 256 * 600, "MetaBlobComplete"))
        self.assertEqual([fields["chunkOffset"] for fields in chunks], [sum(len(each["bytes"]) for each in chunks[:index]) for index in range(len(chunks))])
        self.assertTrue(all(0 < len(fields["bytes"]) <= 65536 for fields in chunks))
        whole = b"".join(fields["bytes"] for fields in chunks)
        self.assertEqual(whole, bytes(range(256)) * 600)
        self.assertEqual({head[1]["checksum"], tail[1]["checksum"]}, {wire.crc32c(whole)})
        self.until(lambda: early.frames, "frames")
        self.assertEqual({header["meta_version"] for _, _, header, _ in early.frames}, {early.sources[0]["metaVersion"]})
        late = self.consumer()
        self.until(lambda: late.sources and late.attributes, "metadata, for a latecomer")

    def test_takes_the_smallest_pool_that_holds_a_frame(self):
        # W-16, W-20, W-39, W-50
        publish = self.publish("--pools", "65536,64,4096", "--slots", 8, shape="65")
        consumer = self.consumer()
        self.until(lambda: len(consumer.frames) >= 20, "frames")
        self.whole(consumer, 65)
        pools = {pool_id: stride for pool_id, (stride, _) in consumer.mapping.pools.items()}
        self.assertEqual(sorted(pools.values()), [64, 4096, 65536])
        for _, seq, header, _ in consumer.frames:
            self.assertEqual((pools[header["pool_id"]], header["slot"], header["unit"], header["progress_stride"]), (4096, seq & 7, 0, 0))
        self.assertEqual(publish.stop()["failed"], 0)
        too_large = self.stage.run("publish", "--stream", 10001, "--pattern", "check", "--shape", "100", "--no-driver", "--base-dir", self.stage.base,
                                   "--namespace", "other", "--pools", "64")
        too_large.wait(1)
        self.assertIn("128", too_large.log())

    def test_writes_headers_whole_and_numbers_from_nought(self):
        # W-36, W-39, W-54, W-62
        publish = self.publish("--slots", 4, rate=100)
        consumer = self.consumer()
        self.until(lambda: len(consumer.frames) >= 3, "frames")
        mapping = consumer.mapping
        header = mapping.header(consumer.frames[-1][1] & 3)
        self.assertEqual(header[34:60], bytes(26))
        self.assertEqual(header[147:256], bytes(109))
        self.assertEqual(header[87:115] + header[119:147], bytes(56), "dims and strides beyond ndims")
        self.assertEqual(header[77], 0)
        for _, fields in consumer.descriptors:
            self.assertEqual((fields["timestampNs"], fields["traceId"], fields["epoch"]), (wire.NULL64, 0, mapping.epoch))
        stamps = [head["timestamp_ns"] for _, _, head, _ in consumer.frames]
        self.assertEqual(stamps, sorted(stamps))
        self.assertTrue(all(0 < shm.now_ns() - stamp < 30_000_000_000 for stamp in stamps))
        activity = [region.superblock()["activity_ns"] for region in mapping.regions]
        self.until(lambda: all(region.superblock()["activity_ns"] > before for region, before in zip(mapping.regions, activity)), "activity in all regions")
        result = publish.stop()
        self.assertEqual((result["first_seq"], result["last_seq"] + 1), (0, result["frames"]))


if __name__ == "__main__":
    unittest.main()

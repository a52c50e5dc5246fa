"""Every pairing of driver, producer and consumer, ours (the tidepool command) or a stranger's, with each payload byte compared."""

import json
import os
import socket
import struct
import unittest

import shm
import wire
from attach import Planes
from consumer import Consumer
from driver import Driver
from producer import Producer, own_pools
from stage import CONTROL, Case, Feeder

FRAMES = 40
IPC = "aeron:ipc?term-length=1m"


class Pairing(Case):
    def our_subscribe(self, *more, **env):
        return self.stage.run("subscribe", "--stream", 10000, "--frames", FRAMES, "--verify", "check", "--json", *more, **env)

    def our_publish(self, *more, rate=400, **env):
        return self.stage.run("publish", "--stream", 10000, "--pattern", "check", "--shape", "4096", "--rate", rate, "--json", *more, **env)

    def strange_driver(self, **options):
        return self.stage.add(Driver(self.stage.client(), self.stage.base, streams={10000: (64, [shm.Pool(1, 8192)])}, **options))

    def whole(self, command, frames=FRAMES):
        result = command.wait().result()
        self.assertEqual((result["frames"], result["verified"], result["bad"]), (frames, frames, 0), result)
        return result

    def strange_consumer_gets_frames(self, consumer, length=4096):
        self.until(lambda: len(consumer.frames) >= FRAMES, "the stranger's frames")
        for _, seq, header, payload in consumer.frames:
            self.assertEqual(payload, shm.check_pattern(seq, length))
            self.assertEqual((header["dtype"], header["order"], header["dims"]), (shm.UINT8, shm.ROW, [length]))
        self.assertEqual([seq for _, seq, _, _ in consumer.frames], sorted({seq for _, seq, _, _ in consumer.frames}))
        self.assertEqual(consumer.refused, [])

    def test_golden_bytes_are_what_the_stranger_speaks(self):
        # W-1, W-2, W-3, W-8
        path = os.path.join(os.path.dirname(__file__), "..", "vectors", "messages.json")
        seen = 0
        with open(path) as file:
            for vector in json.load(file)["vectors"]:
                data = bytes.fromhex(vector["hex"])
                if vector["schema"] not in (900, 901, 910):
                    self.assertRaises(wire.Ignored, wire.decode, data)
                    continue
                name, fields = wire.decode(data)
                self.assertEqual(wire.encode(name, **fields), data, vector["name"])
                seen += 1
        self.assertGreaterEqual(seen, 25)

    def test_our_driver_strange_producer_our_subscribe(self):
        # W-15, W-36, W-52, D-11, D-66
        self.stage.driver()
        self.stage.add(Feeder(Producer(self.stage.client(), 10000)))
        by_messages, by_ring = self.our_subscribe(), self.our_subscribe("--follow", "ring")
        self.whole(by_messages)
        self.whole(by_ring)

    def test_our_driver_our_publish_strange_consumer(self):
        # W-15, W-52, W-68, W-86
        self.stage.driver()
        publish = self.our_publish()
        consumer = self.stage.add(Consumer(self.stage.client(), 10000))
        self.strange_consumer_gets_frames(consumer)
        self.until(lambda: consumer.producer_reports, "QosProducer")
        report = consumer.producer_reports[-1]
        self.assertEqual((report["epoch"], report["watermark"]), (consumer.mapping.epoch, wire.NULL32))
        self.assertEqual(publish.stop()["failed"], 0)

    def test_our_driver_both_strange(self):
        # D-11, D-19, D-44, W-58
        self.stage.driver()
        feeder = self.stage.add(Feeder(Producer(self.stage.client(), 10000)))
        consumer = self.stage.add(Consumer(self.stage.client(), 10000))
        self.strange_consumer_gets_frames(consumer)
        self.assertIn(feeder.producer.producer_id, {announce["producerId"] for announce in consumer.announces})
        self.assertEqual({announce["epoch"] for announce in consumer.announces if announce["producerId"]}, {feeder.producer.epoch})

    def test_strange_driver_our_publish_our_subscribe(self):
        # D-53, D-57, D-65
        driver = self.strange_driver(lease_ms=2000)
        publish = self.our_publish()
        self.until(lambda: driver.streams[10000].producer, "our producer's lease")
        by_messages, by_ring = self.our_subscribe(), self.our_subscribe("--follow", "ring")
        self.whole(by_messages)
        self.whole(by_ring)
        self.until(lambda: driver.streams[10000].producer.keepalives > 0, "keepalives")
        publish.stop()
        self.assertEqual(driver.leases, {}, "everybody detached")
        asked = [fields for name, fields in driver.heard if name == "ShmAttachRequest"]
        self.assertEqual({(each["expectedLayoutVersion"], each["requireHugepages"], each["desiredNodeId"]) for each in asked}, {(1, 0, wire.NULL32)})
        self.assertEqual({each["publishMode"] for each in asked if each["role"] == wire.PRODUCER}, {wire.EXISTING_OR_CREATE})
        self.assertEqual({each["publishMode"] for each in asked if each["role"] == wire.CONSUMER}, {wire.REQUIRE_EXISTING})
        self.assertEqual(driver.malformed, 0)

    def test_strange_driver_our_publish_strange_consumer(self):
        # D-53, D-66
        driver = self.strange_driver()
        self.our_publish()
        consumer = self.stage.add(Consumer(self.stage.client(), 10000))
        self.strange_consumer_gets_frames(consumer)
        self.assertEqual(consumer.producer_reports[-1]["producerId"] if consumer.producer_reports else driver.streams[10000].producer.client_id,
                         driver.streams[10000].producer.client_id)

    def test_strange_driver_strange_producer_our_subscribe(self):
        # D-54, W-55
        self.strange_driver()
        feeder = self.stage.add(Feeder(Producer(self.stage.client(), 10000)))
        self.until(feeder.producer.ready, "the stranger's lease")
        self.whole(self.our_subscribe())
        self.whole(self.our_subscribe("--follow", "ring"))

    def test_all_strange(self):
        self.strange_driver(announce=(CONTROL[0], 1001))
        self.stage.add(Feeder(Producer(self.stage.client(), 10000)))
        consumer = self.stage.add(Consumer(self.stage.client(), 10000, Planes(announce=(CONTROL[0], 1001))))
        self.strange_consumer_gets_frames(consumer)

    def test_no_driver_strange_producer_our_subscribe(self):
        # W-14, W-15, W-55, W-62
        self.stage.add(Feeder(Producer(self.stage.client(), 10000, own=own_pools(self.stage.base, nslots=64))))
        by_messages, by_ring = self.our_subscribe("--no-driver"), self.our_subscribe("--no-driver", "--follow", "ring")
        self.whole(by_messages)
        self.whole(by_ring)

    def test_no_driver_our_publish_strange_consumer(self):
        # W-14, W-18, W-21, W-32, W-62
        self.our_publish("--no-driver", "--base-dir", self.stage.base, PRODUCER_ANNOUNCE_INTERVAL_MS=200)
        consumer = self.stage.add(Consumer(self.stage.client(), 10000, announce_only=True))
        self.strange_consumer_gets_frames(consumer)

    def test_announce_only_beside_either_driver(self):
        # W-55, W-58, W-62: who asks nobody for a lease maps what the driver announces
        self.strange_driver()
        self.our_publish()
        strange = self.stage.add(Consumer(self.stage.client(), 10000, announce_only=True))
        self.whole(self.our_subscribe("--no-driver"))
        self.strange_consumer_gets_frames(strange)

    def test_announce_only_beside_our_driver(self):
        # W-55, D-41, D-43
        self.stage.driver()
        self.stage.add(Feeder(Producer(self.stage.client(), 10000)))
        strange = self.stage.add(Consumer(self.stage.client(), 10000, announce_only=True))
        self.whole(self.our_subscribe("--no-driver"))
        self.strange_consumer_gets_frames(strange)

    def test_streams_of_their_own_by_our_driver(self):
        # D-50, D-51, D-67, W-52, W-70, W-72, W-74: it gives the ids, both kinds of producers open them, both kinds of consumers listen
        self.stage.driver(streams={"front": (10000, "small"), "side": (10001, "small")},
                          driver='descriptor_stream_id_range = "31000-31099"\ncontrol_stream_id_range = "32000-32099"')
        publish = self.our_publish()
        client = self.stage.client()
        feeder = self.stage.add(Feeder(Producer(client, 10001)))
        strange = self.stage.add(Consumer(client, 10000, own_descriptors=(IPC, 5), own_control=(IPC, 6)))
        ours = self.stage.run("subscribe", "--stream", 10001, "--own-stream", 31050, "--frames", FRAMES, "--verify", "check", "--json")
        # Where the driver is slower than a second the producer answers first, with what was asked for; the driver's word comes last.
        self.until(lambda: strange.own_in and 31000 <= strange.own_in.stream_id <= 31099 and 32000 <= strange.progress_in.stream_id <= 32099
                   and len([1 for stream, _ in strange.descriptors if stream == strange.own_in.stream_id]) > 10, "descriptors of its own")
        self.strange_consumer_gets_frames(strange)
        self.assertEqual(self.whole(ours)["own_stream"], 31050)
        self.until(lambda: not feeder.producer.hellos or feeder.producer.heard, "the driver's config")
        self.assertGreater(publish.stop()["own_descriptors_sent"], 10)

    def test_streams_of_their_own_that_our_driver_declines(self):
        # D-50, D-67, W-70
        self.stage.driver()
        self.our_publish()
        strange = self.stage.add(Consumer(self.stage.client(), 10000, own_descriptors=(IPC, 31001)))
        self.until(lambda: strange.configs, "the driver's answer")
        self.assertEqual((strange.configs[0]["descriptorStreamId"], strange.configs[0]["descriptorChannel"]), (0, b""))
        self.strange_consumer_gets_frames(strange)

    def test_streams_of_their_own_that_our_driver_gives_and_our_producer_refuses(self):
        # W-70, W-71: a medium that its policy forbids; the consumer is told, and hears the shared stream
        self.stage.driver(driver='descriptor_stream_id_range = "31000-31099"')
        publish = self.our_publish()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            channel = f"aeron:udp?endpoint=127.0.0.1:{probe.getsockname()[1]}"
        strange = self.stage.add(Consumer(self.stage.client(), 10000, own_descriptors=(channel, 31001)))
        self.until(lambda: strange.configs and not strange.configs[-1]["descriptorStreamId"], "the end of the assignment")
        mark = len(strange.frames)
        self.until(lambda: len(strange.frames) > mark + 20, "frames over the shared stream")
        self.assertIn("UDP", publish.log())

    def test_policy_of_our_supervisor(self):
        # W-74, W-76, W-77, D-69
        config = self.stage.write_config(rest='[supervisor]\nforce_mode = 2\nper_consumer_enabled = true\nper_consumer_descriptor_base = 31700\n'
                                              'per_consumer_descriptor_range = 2\npayload_fallback_uri = "bridge://lab"\n')
        client = self.stage.client()
        supervisor = self.stage.run("supervisor", "--json", "--config", config)
        feeder = self.stage.add(Feeder(Producer(client, 10000, own=own_pools(self.stage.base, nslots=64), answers=False)))
        consumers = [self.stage.add(Consumer(client, 10000, announce_only=True, own_descriptors=(IPC, 31001), own_control=half)) for half in (None, (IPC, 32001))]
        unable = self.stage.add(Consumer(client, 10000, announce_only=True, hello=dict(supportsShm=0)))
        self.until(lambda: all(consumer.own_in and consumer.configs for consumer in consumers) and unable.configs, "its configs")
        self.assertEqual({consumer.own_in.stream_id for consumer in consumers}, {31700, 31701})
        for config in (consumers[0].configs[-1], unable.configs[-1]):
            self.assertEqual((config["mode"], config["payloadFallbackUri"]), (wire.RATE_LIMITED, b"bridge://lab"))
        self.assertEqual((consumers[0].configs[-1]["useShm"], unable.configs[-1]["useShm"]), (1, 0))
        self.assertEqual(consumers[1].configs[-1]["controlStreamId"], 0, "no range for those")
        for consumer in consumers:
            self.until(lambda: len([1 for stream, _ in consumer.descriptors if stream > 31000]) > 10, "descriptors of its own")
            self.strange_consumer_gets_frames(consumer)
        self.assertGreater(feeder.published, 0)
        result = supervisor.stop()
        self.assertEqual((len(result["consumers"]), len(result["producers"])), (3, 1))

    def test_arrays_and_their_trace_ids(self):
        # W-7, W-46, W-52, W-54
        path = os.path.join(self.stage.directory, "cube.npy")
        data = bytes(range(256)) * 30
        head = "{'descr': '<i2', 'fortran_order': False, 'shape': (10, 24, 16), }".ljust(117) + "\n"
        with open(path, "wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data)
        consumer = self.stage.add(Consumer(self.stage.client(), 10000, announce_only=True))
        self.stage.run("publish", "--stream", 10000, "--no-driver", "--base-dir", self.stage.base, "--npy", path, "--frames-along-first-axis", "--rate", 100, "--loop")
        self.until(lambda: len(consumer.frames) >= 20, "frames")
        trace_ids = {fields["seq"]: fields["traceId"] for _, fields in consumer.descriptors}
        for _, seq, header, payload in consumer.frames:
            self.assertEqual((header["dtype"], header["order"], header["dims"], header["strides"]), (shm.INT16, shm.ROW, [24, 16], [32, 2]))
            self.assertEqual(trace_ids[seq], seq % 10 + 1)
            self.assertEqual(payload, data[seq % 10 * 768:][:768])

    def test_our_driver_and_everybody_at_once(self):
        # Two of each: nobody is disturbed by who else is there. W-10, W-94
        self.stage.driver(streams={"front": (10000, "small"), "side": (10001, "small")})
        feeder = self.stage.add(Feeder(Producer(self.stage.client(), 10001), rate=200))
        publish = self.our_publish(rate=200)
        strange = [self.stage.add(Consumer(self.stage.client(), stream)) for stream in (10000, 10001)]
        ours = [self.stage.run("subscribe", "--stream", stream, "--frames", FRAMES, "--verify", "check", "--json") for stream in (10000, 10001)]
        for consumer in strange:
            self.strange_consumer_gets_frames(consumer)
        for command in ours:
            self.whole(command)
        self.until(lambda: feeder.producer.reports, "QosConsumer")
        self.assertEqual(publish.stop()["failed"], 0)


if __name__ == "__main__":
    unittest.main()

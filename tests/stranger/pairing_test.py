"""Every pairing of driver, producer and consumer, ours (the tidepool command) or a stranger's, with each payload byte compared."""

import json
import os
import unittest

import shm
import wire
from attach import Planes
from consumer import Consumer
from driver import Driver
from producer import Producer, own_pools
from stage import CONTROL, Case, Feeder

FRAMES = 40


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
        # D-53, D-57, D-64, D-65
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

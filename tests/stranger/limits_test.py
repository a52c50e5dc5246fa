"""Numbers at their ends, sizes at their extremes, orders and timings that the documents allow: between ours and a stranger."""

import os
import signal
import struct
import unittest

import shm
import wire
from attach import Planes
from consumer import Consumer
from driver import Driver
from producer import Producer, own_pools
from stage import CONTROL, Asker, Case, Feeder

SMALL = (64, [shm.Pool(1, 8192)])


class Limits(Case):
    def subscribe(self, *more, stream_id=10000, **env):
        return self.stage.run("subscribe", "--stream", stream_id, "--verify", "check", "--json", *more, **env)

    def publish(self, *more, stream_id=10000, rate=200, shape=4096, **env):
        return self.stage.run("publish", "--stream", stream_id, "--pattern", "check", "--shape", shape, "--rate", rate, "--json", *more, **env)

    def whole(self, command, count):
        result = command.wait().result()
        self.assertEqual((result["frames"], result["verified"], result["bad"]), (count, count, 0), result)
        return result

    def own_producer(self, stream_id=10000, client=None, made=None, **options):
        return Producer(client or self.stage.client(), stream_id, own=own_pools(self.stage.base, **{"nslots": 64, "strides": (8192,), **(made or {})}), **options)

    def mapped(self, producer, *, epoch=None):
        self.until(lambda: any(report["epoch"] == (epoch or producer.epoch) for report in producer.reports.values()), "our consumer to map")

    def test_sequences_up_to_the_last_one(self):
        # W-36, W-83
        producer = self.stage.add(self.own_producer())
        producer.seq = (1 << 63) - 20
        commands = [self.subscribe("--no-driver", "--frames", 20), self.subscribe("--no-driver", "--follow", "ring", "--frames", 20)]
        self.until(lambda: len([1 for report in producer.reports.values() if report["epoch"] == producer.epoch]) == 2, "both to map")
        self.until(producer.descriptor.connected, "the descriptor subscription")
        for _ in range(20):
            producer.publish()
        for command in commands:
            result = self.whole(command, 20)
            self.assertEqual((result["first_seq"], result["last_seq"], result["drops_gap"], result["drops_late"]), ((1 << 63) - 20, (1 << 63) - 1, 0, 0))

    def test_ids_and_epochs_at_their_ends(self):
        # W-10, W-57, D-52
        client, commands = self.stage.client(), []
        for stream_id, epoch, producer_id in ((1, 1, 0xFFFFFFFF), (0xFFFFFFFE, wire.NULL64 - 1, 1), (0x80000000, 1 << 63, 0x80000000)):
            self.stage.add(Feeder(self.own_producer(stream_id, client, first_epoch=epoch, producer_id=producer_id), rate=50))
            commands.append((epoch, self.subscribe("--no-driver", "--frames", 5, stream_id=stream_id, CONSUMER_CONSUMER_ID=0xFFFFFFFE)))
        for epoch, command in commands:
            self.assertEqual(self.whole(command, 5)["epoch"], epoch)

    def test_rings_of_one_slot_and_frames_of_megabytes(self):
        # W-16, W-17, W-20
        client = self.stage.client()
        self.stage.add(Feeder(self.own_producer(10001, client, made=dict(nslots=1)), rate=50))
        self.stage.add(Feeder(self.own_producer(10002, client, made=dict(nslots=2, strides=(4 << 20,))), rate=20, length=(4 << 20) - 3))
        self.publish("--no-driver", "--base-dir", self.stage.base, "--namespace", "a", "--slots", 1, stream_id=10003, rate=50)
        self.publish("--no-driver", "--base-dir", self.stage.base, "--namespace", "b", "--slots", 2, stream_id=10004, rate=20, shape=(4 << 20) - 3)
        commands = [self.subscribe("--no-driver", "--frames", 5, *follow, stream_id=stream_id) for stream_id in (10001, 10002)
                    for follow in ((), ("--follow", "ring"))]
        one, large = (self.stage.add(Consumer(client, stream_id, announce_only=True)) for stream_id in (10003, 10004))
        self.until(lambda: len(one.frames) >= 5 and len(large.frames) >= 5, "frames")
        for consumer, length in ((one, 4096), (large, (4 << 20) - 3)):
            for _, seq, _, payload in consumer.frames:
                self.assertEqual(payload, shm.check_pattern(seq, length))
        for command in commands:
            self.whole(command, 5)

    def test_consumers_that_come_first(self):
        # W-58, W-60, W-65, D-32, D-43
        self.stage.driver(streams={"front": (10000, "small"), "side": (10001, "small")})
        client = self.stage.client()
        strange, ours = self.stage.add(Consumer(client, 10000)), self.subscribe("--frames", 10, stream_id=10001)
        announced = self.stage.add(Consumer(client, 10000, announce_only=True))
        self.until(lambda: strange.mapping and announced.mapping, "an epoch without a producer")
        empty = strange.mapping.epoch
        self.publish()
        feeder = self.stage.add(Feeder(Producer(client, 10001)))
        self.until(lambda: len(strange.frames) >= 10 and len(announced.frames) >= 10, "frames of the next epoch")
        for consumer in (strange, announced):
            self.assertGreater(consumer.mapping.epoch, empty)
            for _, seq, _, payload in consumer.frames:
                self.assertEqual(payload, shm.check_pattern(seq, 4096))
        self.assertEqual(self.whole(ours, 10)["epoch"], feeder.producer.epoch)

    def test_producers_that_come_and_go(self):
        # W-35, W-65, D-22, D-32, D-45, D-59
        self.stage.driver(policies="lease_keepalive_interval_ms = 100\nlease_expiry_grace_intervals = 5\n")
        client = self.stage.client()
        strange, ours = self.stage.add(Consumer(client, 10000, keepalive_ms=50)), self.subscribe("--frames", 100000)
        waiting, epochs = None, []
        reported = {}

        def taken(epoch):
            for report in strange.consumer_reports.values():
                if report["epoch"] == epoch and report["consumerId"] != strange.consumer_id:
                    reported.setdefault(epoch, set()).add(report["lastSeqSeen"])
            return len(reported.get(epoch, set()) - {0}) > 1

        for turn in range(2):
            publish = self.publish(CLIENT_KEEPALIVE_INTERVAL_MS=100)
            self.until(lambda: strange.mapping and strange.mapping.epoch not in epochs and len([1 for frame in strange.frames if frame[0] == strange.mapping.epoch]) > 5,
                       "frames of ours")
            epochs.append(strange.mapping.epoch)
            self.until(lambda: taken(epochs[-1]), "our consumer to take some")
            if not waiting:  # a second producer has to wait for the end of the first
                waiting = self.stage.add(Feeder(Producer(client, 10000, keepalive_ms=50)))
                self.until(lambda: waiting.producer.attachment.answer, "the refusal of a second producer")
                self.assertEqual(waiting.producer.attachment.answer["errorMessage"], b"producer already attached")
            if turn:
                publish.kill()
            else:
                publish.stop()
            self.until(lambda: strange.mapping and strange.mapping.epoch == waiting.producer.epoch and strange.frames[-1][0] == waiting.producer.epoch,
                       "frames of the stranger that waited")
            epochs.append(strange.mapping.epoch)
            self.until(lambda: taken(epochs[-1]), "our consumer to take some")
            waiting.producer.attachment.detach()
            waiting.producer.mapping.close()
            waiting.producer.mapping = None
            self.stage.drop(waiting)
            waiting = None
        self.assertEqual(epochs, sorted(set(epochs)))
        for _, seq, _, payload in strange.frames:
            self.assertEqual(payload, shm.check_pattern(seq, 4096))
        result = ours.stop()
        self.assertEqual((result["bad"], result["frames"]), (0, result["verified"]))
        self.assertEqual(result["epochs"], 4)

    def test_publications_with_a_session_of_their_own(self):
        # W-94: a stranger that publishes exclusively
        client = self.stage.client(exclusive=True)
        self.stage.add(Driver(client, self.stage.base, streams={10000: SMALL, 10001: SMALL}))
        self.stage.add(Feeder(Producer(self.stage.client(exclusive=True), 10000)))
        self.publish(stream_id=10001)
        consumer = self.stage.add(Consumer(self.stage.client(exclusive=True), 10001))
        self.whole(self.subscribe("--frames", 10), 10)
        self.until(lambda: len(consumer.frames) >= 10, "frames")

    def test_channels_without_parameters(self):
        # D-1, W-12: whoever leaves the parameter out joins the log that there is.
        plain = Planes(*[("aeron:ipc", stream) for stream in (1000, 1000, 1100, 1200, 1300)])
        client = self.stage.client()
        self.stage.add(Driver(client, self.stage.base, control=plain.control, streams={10000: SMALL, 10001: SMALL}))
        self.stage.add(Feeder(Producer(client, 10000, plain)))
        self.whole(self.subscribe("--frames", 10), 10)
        self.publish(stream_id=10001)
        consumer = self.stage.add(Consumer(client, 10001, plain))
        self.until(lambda: len(consumer.frames) >= 10, "frames")

    def test_paths_through_a_linked_directory(self):
        # W-24, W-26: the last component alone may be no link; what counts is where the path really leads.
        link = os.path.join(self.stage.directory, "link")
        os.symlink(self.stage.base, link)
        producer = self.own_producer()
        producer.what = dict(producer.what, headerRegionUri=producer.what["headerRegionUri"].replace(self.stage.base, link),
                             payloadPools=[dict(pool, regionUri=pool["regionUri"].replace(self.stage.base, link)) for pool in producer.what["payloadPools"]])
        self.stage.add(Feeder(producer))
        self.whole(self.subscribe("--no-driver", "--frames", 5), 5)

    def test_regions_cut_under_an_idle_consumer(self):
        # W-33, W-58, R-01
        producer = self.stage.add(self.own_producer(period_ms=100))
        subscribe = self.subscribe("--no-driver", "--frames", 5)
        self.mapped(producer)
        what = producer.what
        for index, uri in enumerate((what["payloadPools"][0]["regionUri"], what["headerRegionUri"])):
            path = shm.parse_uri(producer.what["payloadPools"][0]["regionUri"] if index == 0 else producer.what["headerRegionUri"])[0]
            producer.mapping.close()
            producer.mapping = None
            os.truncate(path, 64)
            producer.announce()
            self.until(lambda: any(report["epoch"] == 0 for report in producer.reports.values()), "our consumer to let go of a cut region")
            self.assertFalse(subscribe.ended(), subscribe.log())
            producer.new_epoch(namespace=f"mended-{index}")
            self.mapped(producer)
        self.stage.drop(producer)
        self.stage.add(Feeder(producer))
        self.whole(subscribe, 5)

    def test_another_consumer_under_the_same_id(self):
        # W-69
        producer = self.stage.add(self.own_producer(period_ms=100))
        subscribe = self.subscribe("--no-driver", "--frames", 10)
        self.mapped(producer)
        first = next(iter(producer.hellos))
        out = self.stage.client(exclusive=True).publication(*CONTROL)  # W-69 tells others apart by their session
        self.until(out.connected, "a session of its own")
        out.offer(wire.encode("ConsumerHello", streamId=10000, consumerId=first))
        self.until(lambda: set(producer.hellos) - {first}, "another id")
        self.stage.drop(producer)
        self.stage.add(Feeder(producer))
        self.whole(subscribe, 10)

    def test_assignments_that_are_the_shared_stream(self):
        # W-72 (WX-12): no assignment at all
        producer = self.own_producer(period_ms=100)
        producer.answers = False
        feeder = self.stage.add(Feeder(producer))
        subscribe = self.subscribe("--no-driver", "--own-stream", 31001, "--frames", 100000)
        self.mapped(producer)
        consumer_id = next(iter(producer.hellos))
        producer.control.offer(wire.encode("ConsumerConfig", streamId=10000, consumerId=consumer_id, descriptorStreamId=1100, descriptorChannel=CONTROL[0],
                                           controlStreamId=1000, controlChannel=CONTROL[0]))
        seq = producer.seq + 50
        self.until(lambda: producer.reports[consumer_id]["lastSeqSeen"] > seq, "frames over the shared stream")
        self.assertGreater(feeder.published, 0)
        result = subscribe.stop()
        self.assertEqual((result["bad"], result["own_stream"]), (0, None))

    def test_clients_that_stand_still(self):
        # D-57, D-58: stopped for longer than its lease, then told so and attached again
        driver = self.stage.add(Driver(self.stage.client(), self.stage.base, streams={10000: SMALL}, lease_ms=600, announce_ms=100))
        publish, subscribe = self.publish(), self.subscribe("--frames", 100000)
        of = lambda role: next((lease for lease in driver.leases.values() if lease.role == role), None)
        self.until(lambda: of(wire.PRODUCER) and of(wire.CONSUMER) and driver.streams[10000].mapping.word(20) & 1, "both leases, and frames")
        for command, role in ((publish, wire.PRODUCER), (subscribe, wire.CONSUMER)):
            before = of(role)
            command.process.send_signal(signal.SIGSTOP)
            self.until(lambda: of(role) is not before, "the lease to run out")
            command.process.send_signal(signal.SIGCONT)
            self.until(lambda: of(wire.PRODUCER) and of(wire.CONSUMER), "both leases again")
        self.until(lambda: driver.streams[10000].mapping.word(20) & 1, "frames")
        result = subscribe.stop()
        self.assertEqual((result["bad"], result["frames"] > 0), (0, True))
        self.assertGreaterEqual(publish.stop()["attaches"], 2)

    def test_answers_that_come_late_and_often(self):
        # D-17, D-55, D-63, W-5: one lease of many equal answers; newer and shorter answers are none
        driver = self.stage.add(Driver(self.stage.client(), self.stage.base, streams={10000: SMALL, 10001: SMALL}))
        owed = {}

        def edit_response(lease, fields):
            good = wire.encode("ShmAttachResponse", **fields)
            owed.setdefault(lease.lease_id, []).append(good)
            if len(owed[lease.lease_id]) < 4:
                driver.send(wire.encode("ShmAttachResponse", _version=2, **fields))
                driver.send(struct.pack("<HHHH", 53, 2, 901, 1) + good[8:])
                driver.send(good[:-1])
                return None
            for _ in range(3):
                driver.send(good)
            return fields

        driver.edit_response = edit_response
        publish, subscribe = self.publish(stream_id=10001), self.subscribe("--frames", 5, stream_id=10001)
        self.whole(subscribe, 5)
        asked = [fields["correlationId"] for name, fields in driver.heard if name == "ShmAttachRequest"]
        self.assertEqual(len(set(asked)), 2, "repeats bear the first one's correlation id")
        self.assertEqual(publish.stop()["attaches"], 1)

    def test_a_driver_that_never_announces(self):
        # D-61: silence counts only after a first announce; the lease alone is enough
        driver = self.stage.add(Driver(self.stage.client(), self.stage.base, streams={10000: SMALL}))
        driver.announcing = False
        publish = self.publish(CLIENT_ANNOUNCE_PERIOD_MS=50)
        self.until(lambda: any(lease.role == wire.PRODUCER for lease in driver.leases.values()), "our producer's lease")
        self.whole(self.subscribe("--frames", 60, CLIENT_ANNOUNCE_PERIOD_MS=50), 60)
        self.assertEqual(publish.stop()["attaches"], 1)

    def test_a_driver_that_comes_last(self):
        # D-56, P-13
        subscribe, publish = self.subscribe("--frames", 10, "--wait", "--attach-timeout-ms", 200), self.publish("--wait", "--attach-timeout-ms", 200)
        self.until(lambda: all("no driver answered" in command.log() for command in (subscribe, publish)), "both to miss a driver")
        self.stage.add(Driver(self.stage.client(), self.stage.base, streams={10000: SMALL}))
        self.whole(subscribe, 10)

    def test_a_driver_whose_epochs_fall(self):
        # D-59, D-62: announces below the highest epoch are ignored, an answer to a new request is not
        driver = self.stage.add(Driver(self.stage.client(), self.stage.base, streams={10000: SMALL}, announce_ms=100))
        feeder = self.stage.add(Feeder(Producer(self.stage.client(), 10000)))
        subscribe = self.subscribe("--frames", 100000, CLIENT_ANNOUNCE_PERIOD_MS=200)
        seen = lambda: any(report["epoch"] == feeder.producer.epoch and report["lastSeqSeen"] > 5 for report in feeder.producer.reports.values())
        self.until(seen, "frames")
        driver.first_epoch, driver.streams[10000].epoch = 7, 0
        driver.end(driver.streams[10000].producer, wire.EXPIRED)
        self.until(lambda: feeder.producer.epoch < 100 and seen(), "frames of a lower epoch")
        self.assertEqual(subscribe.stop()["bad"], 0)

    def test_a_producer_that_is_announced_by_somebody_else(self):
        # W-35, W-57, W-65: two without a driver; the higher epoch has the stream, until it is silent
        publish = self.publish("--no-driver", "--base-dir", self.stage.base, "--log", "info", PRODUCER_ANNOUNCE_INTERVAL_MS=100, CLIENT_ANNOUNCE_PERIOD_MS=100)
        consumer = self.stage.add(Consumer(self.stage.client(), 10000, announce_only=True))
        self.until(lambda: len(consumer.frames) > 5, "our frames")
        epoch = consumer.mapping.epoch
        feeder = self.stage.add(Feeder(self.own_producer(first_epoch=epoch + (1 << 40))))
        self.until(lambda: len([1 for frame in consumer.frames if frame[0] == feeder.producer.epoch]) > 5, "the stranger's frames")
        self.stage.drop(feeder)
        feeder.close()
        self.until(lambda: consumer.frames[-1][0] > feeder.producer.epoch, "our frames, in a higher epoch")
        for _, seq, _, payload in consumer.frames:
            self.assertEqual(payload, shm.check_pattern(seq, 4096))
        publish.stop()

    def test_an_epoch_that_is_promised_and_never_comes(self):
        # D-59: after three periods without a higher epoch our consumer asks the driver again
        driver = self.stage.add(Driver(self.stage.client(), self.stage.base, streams={10000: SMALL}, announce_ms=100))
        subscribe = self.subscribe("--frames", 5, CLIENT_ANNOUNCE_PERIOD_MS=200)
        feeder = self.stage.add(Feeder(Producer(self.stage.client(), 10000)))
        feeder.paused = True
        of = lambda role: next((lease for lease in driver.leases.values() if lease.role == role), None)
        self.until(lambda: of(wire.PRODUCER) and of(wire.CONSUMER), "both leases")
        before = of(wire.CONSUMER)
        driver.send(wire.encode("ShmLeaseRevoked", timestampNs=shm.now_ns(), leaseId=1, streamId=10000, clientId=1, role=wire.PRODUCER, reason=wire.EXPIRED))
        self.until(lambda: of(wire.CONSUMER) not in (None, before), "our consumer to ask again")
        feeder.paused = False
        self.whole(subscribe, 5)



if __name__ == "__main__":
    unittest.main()

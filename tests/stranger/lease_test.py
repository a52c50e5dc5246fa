"""Our producer and consumer as clients of a stranger's driver: its every answer, the end of leases, dynamic streams, its oddities."""

import os
import unittest

import shm
import wire
from attach import Planes
from driver import Driver
from producer import Producer
from stage import CONTROL, Case, Feeder

SMALL = (64, [shm.Pool(1, 8192)])


class LeaseCase(Case):
    def strange_driver(self, streams=None, client=None, **options):
        return self.stage.add(Driver(client or self.stage.client(), self.stage.base, streams=streams or {10000: SMALL}, **options))

    def subscribe(self, *more, stream_id=10000, **env):
        return self.stage.run("subscribe", "--stream", stream_id, "--verify", "check", "--json", *more, **env)

    def publish(self, *more, stream_id=10000, **env):
        return self.stage.run("publish", "--stream", stream_id, "--pattern", "check", "--shape", 4096, "--rate", 200, "--json", *more, **env)

    def lease(self, driver, role, stream_id=10000):
        return next((lease for lease in driver.leases.values() if lease.role == role and lease.stream.stream_id == stream_id), None)

    def asked(self, driver, role):
        return [fields for name, fields in driver.heard if name == "ShmAttachRequest" and fields["role"] == role]


class OurClient(LeaseCase):
    def test_takes_every_legal_form_of_an_answer(self):
        # D-11, D-54, D-55, D-62, W-7, W-20, W-23
        driver = self.strange_driver({10000 + index: (64, pools) for index, pools in enumerate(
            [[shm.Pool(1, 8192)], [shm.Pool(9, 64), shm.Pool(2, 16384), shm.Pool(4, 4160)], [shm.Pool(0, 8192), shm.Pool(65535, 4096)], [shm.Pool(1, 8192)],
             [shm.Pool(index, 4096) for index in range(1, 41)]])},
            announce=(CONTROL[0], 1001), announce_ms=100, lease_ms=30_000)
        driver.response_first = True
        driver.with_expiry = driver.with_node_id = False
        driver.response_extra = dict(_block_extra=b"newer fields", _entry_extra=b"too", _tail=b"and bytes behind")
        driver.streams[10001].made = dict(pool_slot_bytes=wire.NULL32, extra_bytes=4097, hugepages=False)
        driver.streams[10002].made = dict(mode=0o600, pid=1)
        client, pairs = self.stage.client(), []
        planes = Planes(announce=(CONTROL[0], 1001))
        for stream_id in sorted(driver.streams):
            publish = self.publish("--announce-stream", 1001, stream_id=stream_id) if stream_id % 2 else None
            if publish is None:
                self.stage.add(Feeder(Producer(client, stream_id, planes, announces=True, keepalive_ms=300), rate=100))  # it announces, too (WX-14)
            pairs.append((stream_id, publish))
        self.until(lambda: all(stream.producer for stream in driver.streams.values()), "the producers' leases")
        consumers = [self.subscribe("--announce-stream", 1001, "--frames", 20, stream_id=stream_id) for stream_id, _ in pairs]
        for (stream_id, publish), consumer in zip(pairs, consumers):
            result = consumer.wait().result()
            self.assertEqual((result["verified"], result["bad"], result["epochs"]), (20, 0, 1), (stream_id, result))
        for _, publish in pairs:
            if publish:
                self.assertEqual(publish.stop()["failed"], 0)

    def test_gives_back_what_is_granted_wrongly_and_asks_again(self):
        # D-54, D-56, D-65, W-17, W-19, W-23, W-24, W-31
        edits = {
            "null lease": (dict(leaseId=wire.NULL64), "lease"), "null epoch": (dict(epoch=wire.NULL64), "epoch"),
            "null layout": (dict(layoutVersion=wire.NULL32), "layout"), "layout 2": (dict(layoutVersion=2), "layout"),
            "null slots": (dict(headerNslots=wire.NULL32), "slots"), "48 slots": (dict(headerNslots=48), "slots"), "no slots": (dict(headerNslots=0), "slots"),
            "slot bytes": (dict(headerSlotBytes=128), "slot"), "null slot bytes": (dict(headerSlotBytes=wire.NULL16), "slot"),
            "no pools": (dict(payloadPools=[]), "pool"), "no ring": (dict(headerRegionUri=""), "uri"),
            "other scheme": (dict(headerRegionUri="http://dev/shm/ring"), "uri"), "elsewhere": (dict(headerRegionUri="shm:file?path=/etc/passwd"), ""),
            "null stream": (dict(streamId=wire.NULL32), "stream"), "another stream": (dict(streamId=4), "stream"),
            "another epoch": (lambda fields: dict(epoch=fields["epoch"] + 1), "epoch"),
            "pool slots": (lambda fields: dict(payloadPools=[dict(fields["payloadPools"][0], poolNslots=32)]), "slots"),
            "pool stride": (lambda fields: dict(payloadPools=[dict(fields["payloadPools"][0], strideBytes=100)]), "stride"),
            "null stride": (lambda fields: dict(payloadPools=[dict(fields["payloadPools"][0], strideBytes=wire.NULL32)]), "stride"),
            "twice the pool": (lambda fields: dict(payloadPools=fields["payloadPools"] * 2), "pool"),
            "expired": (dict(leaseExpiryTimestampNs=1), "expir"),
            # These cannot be read: as good as no answer.
            "unknown code": (dict(code=5), "no driver answered"), "null code": (dict(code=-(1 << 31)), "no driver answered"),
            "long uri": (dict(headerRegionUri="shm:file?path=/dev/shm/" + "x" * 5000), "no driver answered"),
        }
        streams = {11000 + index: (name, *edit) for index, (name, edit) in enumerate(edits.items())}
        driver = self.strange_driver({stream_id: SMALL for stream_id in streams})
        wrong = set(streams)

        def edit_response(lease, fields):
            if lease.asked_stream_id not in wrong:
                return fields
            change = streams[lease.asked_stream_id][1]
            return {**fields, **(change(fields) if callable(change) else change)}

        driver.edit_response = edit_response
        # Consumers with an odd number, producers with an even one.
        more = ("--wait", "--frames", 3, "--attach-timeout-ms", 500)
        commands = {stream_id: (self.subscribe if stream_id % 2 else self.publish)(*more, stream_id=stream_id) for stream_id in streams}
        asked = lambda stream_id: {fields["correlationId"] for name, fields in driver.heard if name == "ShmAttachRequest" and fields["streamId"] == stream_id}
        ended = lambda stream_id: [fields for name, fields in driver.heard if name == "ShmDetachRequest" and fields["streamId"] == stream_id]
        at_once = {"other scheme", "elsewhere"}  # what asking again cannot mend ends a first attach, with the reason
        for stream_id, (name, _, word) in streams.items():
            command = commands[stream_id]
            if name in at_once:
                self.assertIn("tidepool: ", command.wait(1).log(), name)
                continue
            self.until(lambda: word in command.log().lower() and (ended(stream_id) or len(asked(stream_id)) > 1 or "no driver" in word),
                       f"our client to refuse an answer with {name}: {command.log()[-500:]}")
        wrong.clear()
        for lease in list(driver.leases.values()):
            driver.end(lease, wire.REVOKED, "granted wrongly")
        client = self.stage.client()
        for stream_id, (name, _, word) in streams.items():
            if name in at_once:
                continue
            if stream_id % 2:
                self.stage.add(Feeder(Producer(client, stream_id), rate=50))
            result = commands[stream_id].wait().result()
            self.assertEqual(result["frames"], 3, name)
            self.assertIn(word, commands[stream_id].log().lower(), name)

    def test_asks_again_after_a_refusal_and_takes_another_id_where_its_own_is_taken(self):
        # D-10, D-52, D-56, D-59
        driver = self.strange_driver({10000: SMALL, 10001: SMALL})
        again = [(wire.REJECTED, "producer already attached"), (wire.INTERNAL_ERROR, "shm creation failed"), (wire.REJECTED, "client_id already attached"),
                 (wire.REJECTED, "client_id already attached"), (wire.REJECTED, "busy\n\x1b[31m" + "x" * 1000)]
        driver.refuse = {10000: list(again), 10001: list(again)}
        publish, subscribe = self.publish(), self.subscribe("--frames", 10, stream_id=10001)
        self.until(lambda: self.lease(driver, wire.PRODUCER) and self.lease(driver, wire.CONSUMER, 10001), "both to attach in the end")
        for role, command in ((wire.PRODUCER, publish), (wire.CONSUMER, subscribe)):
            asked = self.asked(driver, role)
            self.assertEqual(len({fields["correlationId"] for fields in asked}), len(again) + 1)
            self.assertEqual(len({fields["clientId"] for fields in asked}), 3, "a new id for each 'already attached', and only then")
            self.assertNotIn(0, {fields["clientId"] for fields in asked} | {fields["correlationId"] for fields in asked})
            self.assertNotIn("\x1b", command.log())
        self.stage.add(Feeder(Producer(self.stage.client(), 10001)))
        self.assertEqual(subscribe.wait().result()["verified"], 10)

    def test_fails_at_once_and_clearly_where_asking_again_is_no_use(self):
        # D-56, P-13
        driver = self.strange_driver({stream_id: SMALL for stream_id in range(11000, 11004)})
        answers = [(wire.UNSUPPORTED, "unsupported publish_mode"), (wire.INVALID_PARAMS, "profile not found"), (wire.REJECTED, "stream not provisioned"),
                   (wire.REJECTED, "layout version mismatch")]
        driver.refuse = {11000 + index: [answer] * 100 for index, answer in enumerate(answers)}
        commands = [self.subscribe("--frames", 1, stream_id=11000 + index) for index in range(len(answers))]
        commands.append(self.subscribe("--frames", 1, "--attach-timeout-ms", 500, stream_id=10999))
        for command, (_, text) in zip(commands, answers + [(0, "stream not provisioned")]):
            command.wait(1)
            self.assertIn(text, command.log())

    def test_goes_on_after_each_end_of_its_lease(self):
        # D-25, D-45, D-55, D-58, D-59, D-61, D-63, W-59
        driver = self.strange_driver(announce_ms=100)
        publish, subscribe = self.publish(), self.subscribe("--frames", 100000)
        consumer = lambda: self.lease(driver, wire.CONSUMER)
        producer = lambda: self.lease(driver, wire.PRODUCER)
        self.until(lambda: producer() and consumer(), "both leases")

        def both_again(what, *, new_producer=False, new_consumer=False):
            epoch = driver.streams[10000].epoch
            self.until(lambda: producer() and consumer() and (producer() is not before[0] or not new_producer) and (consumer() is not before[1] or not new_consumer),
                       f"leases after {what}")
            mapping = driver.streams[10000].mapping
            self.until(lambda: driver.streams[10000].mapping.word(20) & 1, f"frames in epoch {epoch} after {what}")
            return mapping

        for reason in (wire.EXPIRED, wire.REVOKED, wire.DETACHED):
            before = (producer(), consumer())
            driver.end(producer(), reason, "go on")
            both_again(f"the producer's end ({reason})", new_producer=True)
            before = (producer(), consumer())
            driver.end(consumer(), reason, "go on")
            both_again(f"the consumer's end ({reason})", new_consumer=True)
        # Not for them: other leases, unknown reasons and roles, versions, old notices again, a late refusal.
        before = (producer(), consumer())
        notice = dict(timestampNs=shm.now_ns(), leaseId=consumer().lease_id, streamId=10000, clientId=consumer().client_id, role=wire.CONSUMER, reason=wire.REVOKED)
        for wrong in (dict(leaseId=notice["leaseId"] ^ 1), dict(reason=0), dict(reason=4), dict(reason=255), dict(role=0), dict(role=3), dict(_version=2),
                      dict(leaseId=5, streamId=10001), dict(leaseId=7, role=wire.PRODUCER, timestampNs=1)):
            driver.send(wire.encode("ShmLeaseRevoked", **{**notice, **wrong}))
        driver.send(wire.encode("ShmDriverShutdown", _version=2, timestampNs=1))
        driver.send(wire.encode("ShmDriverShutdown", timestampNs=1, reason=9))
        driver.send(wire.encode("ShmAttachResponse", correlationId=consumer().correlation_id, code=wire.REJECTED, errorMessage="too late"))
        driver.respond(consumer())
        driver.announce(driver.streams[10000], epoch=driver.streams[10000].epoch - 1)
        keepalives = before[0].keepalives, before[1].keepalives
        self.until(lambda: producer() and consumer() and producer().keepalives > keepalives[0] and consumer().keepalives > keepalives[1], "keepalives")
        self.assertIs(producer(), before[0], publish.log())
        self.assertIs(consumer(), before[1], subscribe.log())
        # The driver leaves in order, and another one takes its place, with lower epochs.
        driver.shutdown(text="maintenance")
        driver.first_epoch = 5
        driver.streams[10000].epoch = 0
        both_again("the driver's shutdown", new_producer=True, new_consumer=True)
        self.assertLess(driver.streams[10000].epoch, 100)
        result, published = subscribe.stop(), publish.stop()
        self.assertEqual((result["bad"], result["frames"]), (0, result["verified"]))
        self.assertGreaterEqual(result["epochs"], 3)
        self.assertGreaterEqual(published["attaches"], 5)

    def test_notices_a_driver_that_falls_silent_or_starts_anew(self):
        # D-57, D-60, D-61, D-62
        driver = self.strange_driver(announce_ms=50)
        fast = dict(CLIENT_ANNOUNCE_PERIOD_MS=200)
        publish, subscribe = self.publish(**fast), self.subscribe("--frames", 100000, **fast)
        both = lambda: self.lease(driver, wire.PRODUCER) and self.lease(driver, wire.CONSUMER)
        self.until(both, "both leases")
        self.until(lambda: driver.streams[10000].mapping.word(20) & 1, "frames")
        # It forgets everything and says nothing: no announce, no answer to keepalives.
        driver.announcing = False
        driver.leases.clear()
        driver.streams[10000].producer = None
        driver.streams[10000].epoch = 0
        driver.first_epoch = 1000
        asked = len(self.asked(driver, wire.CONSUMER))
        self.until(lambda: len(self.asked(driver, wire.CONSUMER)) > asked, "our consumer to ask again")
        driver.announcing = True
        self.until(both, "both leases again")
        self.until(lambda: driver.streams[10000].mapping.word(20) & 1, "frames again")
        # A producer whose place is taken stops and asks again: another id is announced for its epoch.
        old = self.lease(driver, wire.PRODUCER)
        driver.announce(driver.streams[10000], producerId=old.client_id ^ 1)
        self.until(lambda: self.lease(driver, wire.PRODUCER) not in (None, old), "our producer to ask again")
        self.assertEqual((subscribe.stop()["bad"], publish.stop()["frames"] > 0), (0, True))

    def test_is_told_the_number_of_a_stream_that_is_made_for_it(self):
        # D-19, D-49, D-53
        driver = self.strange_driver({10000: SMALL}, dynamic=[(20007, *SMALL), (20008, *SMALL)])
        publish = self.publish(stream_id=20001)
        self.until(lambda: self.lease(driver, wire.PRODUCER, 20007), "our producer to take the number it was given")
        lease = self.lease(driver, wire.PRODUCER, 20007)
        self.until(lambda: lease.keepalives, "keepalives for that stream")
        subscribe = self.subscribe("--frames", 5, stream_id=20007)
        self.assertEqual(subscribe.wait().result()["verified"], 5)
        self.assertEqual(publish.stop()["stream_id"], 20007)
        self.assertEqual(driver.leases, {})
        # A consumer wants the stream that it asked for, and no other.
        driver.edit_response = lambda _lease, fields: {**fields, "streamId": 20007}
        other = self.subscribe("--frames", 1, "--attach-timeout-ms", 1500, stream_id=10000)
        other.wait(1)
        self.assertTrue([fields for name, fields in driver.heard if name == "ShmDetachRequest" and fields["role"] == wire.CONSUMER])

    def test_takes_streams_of_its_own_from_a_strange_driver(self):
        # D-51, D-67, W-70, W-72, W-74
        driver = self.strange_driver(descriptor_ids=[31500, 31501], control_ids=[32500])
        publish = self.publish()
        self.until(lambda: self.lease(driver, wire.PRODUCER), "our producer's lease")
        subscribe = self.subscribe("--own-stream", 31001, "--frames", 100)
        result = subscribe.wait().result()
        self.assertEqual((result["verified"], result["own_stream"]), (100, 31500), subscribe.log())
        self.assertGreater(publish.stop()["own_descriptors_sent"], 0)

    def test_says_which_slots_a_frame_would_need(self):
        # W-50
        self.strange_driver({10000: (64, [shm.Pool(1, 64), shm.Pool(2, 1024)])})
        publish = self.publish("--frames", 3).wait(1)
        self.assertIn("4096", publish.log())
        self.assertIn("1024", publish.log())

    def test_names_its_own_request_where_nobody_answers(self):
        # D-56, P-13
        self.stage.client()
        for command in (self.subscribe("--attach-timeout-ms", 300), self.publish("--attach-timeout-ms", 300)):
            command.wait(1)
            self.assertIn("driver", command.log())
            self.assertIn("10000", command.log())

    def test_refuses_to_write_into_hostile_regions(self):
        # D-54, D-64, W-19, W-25, W-29, W-31
        spoils = {
            "magic": dict(spoil={1: dict(magic=1)}), "epoch": dict(spoil={"ring": dict(epoch=1)}), "stream": dict(spoil={"ring": dict(stream_id=1)}),
            "slot count": dict(spoil={1: dict(nslots=128)}), "stride": dict(spoil={1: dict(stride_bytes=64)}), "bytes": dict(spoil={1: dict(size=4096)}),
            "mode": dict(mode=0o666),
        }
        driver = self.strange_driver({11000 + index: SMALL for index in range(len(spoils))})
        for stream, made in zip(driver.streams.values(), spoils.values()):
            stream.made = made
        commands = {word: self.publish("--frames", 3, "--attach-timeout-ms", 1000, stream_id=11000 + index) for index, word in enumerate(spoils)}
        for word, command in commands.items():
            command.wait(1)
            self.assertIn(word, command.log().lower())
        sizes = {stream_id: [os.path.getsize(shm.parse_uri(pool["regionUri"])[0]) for pool in stream.what["payloadPools"]]
                 for stream_id, stream in driver.streams.items()}
        self.assertEqual({size for each in sizes.values() for size in each}, {4096, 64 + 64 * 8192}, "nothing was resized")
        for stream in driver.streams.values():
            path, _ = shm.parse_uri(stream.what["payloadPools"][0]["regionUri"])
            with open(path, "rb") as file:
                self.assertEqual(file.read()[64:].strip(b"\0"), b"", "nothing was written")


if __name__ == "__main__":
    unittest.main()

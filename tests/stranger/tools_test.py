"""The operator's commands on what strangers say and make: listen, streams, leases, inspect, gc."""

import json
import os
import subprocess
import time
import unittest

import shm
import wire
from driver import Driver
from producer import Producer, own_pools
from stage import CONTROL, Case, Feeder


class Tools(Case):
    def test_listen_names_every_message_of_a_stranger(self):
        # W-4, W-5, W-6, W-9, D-2
        client = self.stage.client()
        publications = [client.publication(CONTROL[0], stream) for stream in (1000, 1100, 1200, 1300)]
        listen = self.stage.run("listen", "--json", "--count", 10000)
        self.until(lambda: all(each.connected() for each in publications), "listen's subscriptions")
        with open(os.path.join(os.path.dirname(__file__), "..", "vectors", "messages.json")) as file:
            vectors = json.load(file)["vectors"]
        planes = {4: 1, 5: 2, 6: 2, 7: 3, 8: 3, 10: 3, 12: 3, 13: 3}
        sent = []
        for vector in vectors:
            data, plane = bytes.fromhex(vector["hex"]), planes.get(vector["template"], 0) if vector["schema"] == 900 else 0
            for copy, status in ((data, "ok"), (data[:6] + b"\\2\\0" + data[8:], "unsupported"), (data[:-1], "malformed"), (data[:5], "runt")):
                known = vector["schema"] in (900, 901)
                if vector["schema"] == 910:
                    continue  # not of these planes
                publications[plane].offer(copy)
                sent.append((vector["fields"]["Name"] if known and status == "ok" else None, status if known or status == "runt" else "unknown"))
        lines = lambda: [json.loads(line) for line in listen.out().splitlines() if line.endswith("}")]
        self.until(lambda: len(lines()) >= len(sent), "all of it")
        heard = lines()
        self.assertEqual(sorted(str((each["message"], each["status"])) for each in heard if each["status"] == "ok"),
                         sorted(str(each) for each in sent if each[1] == "ok"))
        for status in ("unsupported", "malformed", "runt", "unknown"):
            self.assertEqual(len([1 for each in heard if each["status"] == status]), len([1 for each in sent if each[1] == status]), status)
        example = next(each for each in heard if each["message"] == "ConsumerHello" and each["status"] == "ok")
        self.assertEqual((example["consumerId"], example["mode"], example["descriptorStreamId"]), (4294967294, "RATE_LIMITED", 31001))

    def test_streams_leases_inspect_and_gc_understand_a_stranger(self):
        # W-67, D-40
        client = self.stage.client()
        driver = self.stage.add(Driver(client, self.stage.base, streams={10000: (64, [shm.Pool(1, 8192)])}))
        feeder = self.stage.add(Feeder(Producer(client, 10000, keepalive_ms=100), rate=50))
        feeder.producer.set_source("strange-cam")
        lonely = self.stage.add(Feeder(Producer(client, 10007, own=own_pools(self.stage.base, nslots=8)), rate=50))
        self.until(lambda: feeder.producer.ready(), "the lease")
        streams = self.stage.run("streams", "--json", "--for", 1, "--shm-dir", self.stage.base)
        leases = self.stage.run("leases", "--json", "--for", 1, "--shm-dir", self.stage.base)
        found = {each["stream_id"]: each for each in streams.wait().result()["streams"]}
        self.assertEqual({10000, 10007}, set(found))
        self.assertEqual((found[10000]["name"], found[10000]["epoch"], found[10000]["state"]), ("strange-cam", feeder.producer.epoch, "live"), found[10000])
        self.assertEqual((found[10007]["epoch"], found[10007]["nslots"]), (lonely.producer.epoch, 8))
        lease = next(each for each in leases.wait().result()["leases"] if each["role"] == "producer")
        self.assertEqual((lease["lease_id"], lease["client_id"], lease["stream_id"]), (next(iter(driver.leases)), feeder.producer.producer_id, 10000))
        inspect = self.stage.run("inspect", "--json", os.path.dirname(shm.parse_uri(lonely.producer.what["headerRegionUri"])[0])).wait().result()
        self.assertEqual((inspect["ok"], inspect["faults"]), (True, []))
        # Whatever lives stays; what a dead process left goes.
        dead = subprocess.Popen(["true"])
        dead.wait()
        long_ago = shm.now_ns() - 3_600_000_000_000
        old = shm.make_epoch(self.stage.base, "stranger", 10009, 5, 8, [shm.Pool(1, 64)], pid=dead.pid,
                             spoil={key: dict(start_ns=max(long_ago, 1), activity_ns=max(long_ago, 1)) for key in ("ring", 1)})
        path = os.path.dirname(shm.parse_uri(old["headerRegionUri"])[0])
        for name in [path] + [os.path.join(path, each) for each in os.listdir(path)]:
            os.utime(name, (time.time() - 3600, time.time() - 3600))
        result = self.stage.run("gc", "--keep", "0", "--json", "--base-dir", self.stage.base).wait(None).result()
        actions = {(each["path"].split("/stranger/")[-1], each["action"]) for each in result["entries"] if each["kind"] == "epoch"}
        self.assertIn(("10009/5", "remove"), actions, result)
        self.assertEqual({path for path, action in actions if action == "remove"}, {"10009/5"})
        self.assertFalse(os.path.exists(path))
        seq = lonely.producer.seq
        self.until(lambda: lonely.producer.seq > seq + 5, "frames after gc")


if __name__ == "__main__":
    unittest.main()

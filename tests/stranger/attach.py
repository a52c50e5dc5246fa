"""The driver's protocol from a client's side: attach, keepalive, revoke, detach. Producer and consumer stand on it."""

import random

import shm
import wire

CONTROL = ("aeron:ipc?term-length=4m", 1000)


class Planes:
    """The five planes of a deployment, each a (channel, stream id)."""

    def __init__(self, control=CONTROL, announce=None, descriptor=(CONTROL[0], 1100), qos=(CONTROL[0], 1200), metadata=(CONTROL[0], 1300)):
        self.control, self.announce, self.descriptor, self.qos, self.metadata = control, announce or control, descriptor, qos, metadata


class Attachment:
    """One lease, wanted for as long as this lives: asked for, kept alive, asked for again when it is lost.

    state: "attaching", "attached", "refused", "detached". what: the fields of the accepted response.
    The owner feeds it control messages by on_message() and calls poll(now)."""

    def __init__(self, publication, stream_id, role, *, client_id=0, keepalive_ms=200, retry_ms=500, wanted=True, **request):
        self.publication, self.stream_id, self.role = publication, stream_id, role
        self.fixed_id, self.client_id = bool(client_id), client_id or random.randrange(1, 1 << 31)
        self.request = dict(expectedLayoutVersion=1, publishMode=wire.EXISTING_OR_CREATE if role == wire.PRODUCER else wire.REQUIRE_EXISTING)
        self.request.update(request)
        self.keepalive_ns, self.retry_ns = keepalive_ms * 1_000_000, retry_ms * 1_000_000
        self.correlation_id = random.getrandbits(40)
        self.state, self.what, self.answer, self.due, self.revoked = "attaching", None, None, 0, []
        self.attaches, self.keepalives, self.detach_answer = 0, True, None
        if not wanted:
            self.state = "detached"

    def ask(self):
        self.publication.offer(wire.encode("ShmAttachRequest", correlationId=self.correlation_id, streamId=self.stream_id,
                                           clientId=self.client_id, role=self.role, **self.request))

    def poll(self, now):
        if now < self.due:
            return
        if self.state == "attaching":
            self.due = now + self.retry_ns
            self.ask()
        elif self.state == "attached" and self.keepalives:
            self.due = now + self.keepalive_ns
            self.publication.offer(wire.encode("ShmLeaseKeepalive", leaseId=self.what["leaseId"], streamId=self.what["streamId"],
                                               clientId=self.client_id, role=self.role, clientTimestampNs=now))

    def again(self):
        self.state, self.what, self.due = "attaching", None, 0
        self.correlation_id += 1

    def on_message(self, name, fields):
        """True if the lease was just granted, False if it was just lost, else None."""
        if name == "ShmAttachResponse" and fields["correlationId"] == self.correlation_id and self.state == "attaching":
            self.answer = fields
            if fields["code"] == wire.OK:
                self.check(fields)
                self.state, self.what, self.due = "attached", fields, 0
                self.attaches += 1
                return True
            if fields["errorMessage"] == b"client_id already attached" and not self.fixed_id:
                self.client_id = random.randrange(1, 1 << 31)
            self.correlation_id += 1
            self.due = shm.now_ns() + 100_000_000
        elif name == "ShmLeaseRevoked" and self.what and fields["leaseId"] == self.what["leaseId"]:
            self.revoked.append(fields)
            if self.state == "attached":
                self.again()
                return False
        elif name == "ShmDriverShutdown" and self.state == "attached":
            self.again()
            return False
        elif name == "ShmDetachResponse" and fields["correlationId"] == self.correlation_id:
            self.detach_answer = fields
        return None

    @staticmethod
    def check(fields):
        """The checks of driver.md 16.1, by the letter: what the strictest known client would ask."""
        for field, null in (("leaseId", wire.NULL64), ("streamId", wire.NULL32), ("epoch", wire.NULL64), ("layoutVersion", wire.NULL32),
                            ("headerNslots", wire.NULL32), ("headerSlotBytes", wire.NULL16)):
            assert fields[field] != null, f"{field} is null in {fields}"
        nslots = fields["headerNslots"]
        assert fields["headerSlotBytes"] == 256 and nslots > 0 and nslots & nslots - 1 == 0, fields
        assert fields["payloadPools"] and all(pool["poolNslots"] == nslots and pool["strideBytes"] >= 64 for pool in fields["payloadPools"]), fields
        for uri in [fields["headerRegionUri"]] + [pool["regionUri"] for pool in fields["payloadPools"]]:
            assert 0 < len(uri) < 4096, fields
        assert fields["layoutVersion"] == 1 and fields["nodeId"] != 0, fields
        assert fields["leaseExpiryTimestampNs"] > shm.now_ns(), fields

    def detach(self):
        if self.state == "attached":
            self.correlation_id += 1
            self.publication.offer(wire.encode("ShmDetachRequest", correlationId=self.correlation_id, leaseId=self.what["leaseId"],
                                               streamId=self.what["streamId"], clientId=self.client_id, role=self.role))
        self.state = "detached"

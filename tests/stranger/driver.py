"""A tensor-pool driver of the protocol's documents: leases, epochs, announces. One object, driven by poll()."""

import os
import random

import shm
import wire


class Lease:
    def __init__(self, lease_id, request, stream, node_id, expiry_ns):
        self.lease_id, self.stream, self.node_id, self.expiry_ns = lease_id, stream, node_id, expiry_ns
        self.client_id, self.role, self.correlation_id = request["clientId"], request["role"], request["correlationId"]
        self.asked_stream_id, self.keepalives = request["streamId"], 0


class Stream:
    def __init__(self, stream_id, nslots, pools, **made):
        self.stream_id, self.nslots, self.pools, self.made = stream_id, nslots, pools, made
        self.epoch, self.what, self.producer, self.mapping = 0, None, None, None


class Driver:
    """streams: {id: (nslots, [Pool])}. What peers may do differently is an attribute, so that tests can turn each knob:

    response_first    the response goes out before the announce
    with_expiry, with_node_id   whether the response has these optional fields
    edit_response     a function of (lease, fields of an OK) -> fields, or None to say nothing
    edit_announce     the same for announces
    refuse            {stream id: [(code, text), ...]}: the next answers to attach requests
    """

    def __init__(self, aeron, base, namespace="stranger", control=("aeron:ipc?term-length=4m", 1000), announce=None, streams=None, *,
                 announce_ms=200, lease_ms=3000, first_epoch=None, dynamic=(), descriptor_ids=(), control_ids=()):
        self.aeron, self.base, self.namespace = aeron, base, namespace
        self.publication, self.subscription = aeron.publication(*control), aeron.subscription(*control)
        self.announces = aeron.publication(*announce) if announce else self.publication
        self.streams = {stream_id: Stream(stream_id, *rest) for stream_id, rest in (streams or {}).items()}
        self.leases, self.outbox, self.heard = {}, [], []
        self.announce_ns, self.lease_ns, self.next_announce = announce_ms * 1_000_000, lease_ms * 1_000_000, 0
        self.first_epoch, self.dynamic, self.ids = first_epoch, list(dynamic), {"descriptor": list(descriptor_ids), "control": list(control_ids)}
        self.assigned, self.next_lease, self.next_node = {}, random.getrandbits(62) + 1, 1
        self.response_first, self.with_expiry, self.with_node_id = False, True, True
        self.response_extra = {}
        self.edit_response = self.edit_announce = lambda _who, fields: fields
        self.refused = {}
        self.refuse, self.answering, self.announcing, self.malformed = {}, True, True, 0
        os.makedirs(base, exist_ok=True)

    # --- duty cycle ---

    def poll(self):
        self.flush()
        for message in self.subscription.poll():
            try:
                name, fields = wire.decode(message.data)
            except wire.Ignored:
                continue
            except wire.Malformed:
                self.malformed += 1
                continue
            handler = getattr(self, "_on_" + name, None)
            if handler:
                self.heard.append((name, fields))
                if self.answering:
                    handler(fields)
        now = shm.now_ns()
        for lease in [lease for lease in self.leases.values() if now > lease.expiry_ns]:
            self.end(lease, wire.EXPIRED, "expired")
        if now >= self.next_announce:
            self.next_announce = now + self.announce_ns
            for stream in self.streams.values():
                self.announce(stream)
        self.flush()

    def send(self, message, publication=None):
        self.outbox.append((publication or self.publication, message))

    def flush(self):
        while self.outbox:
            publication, message = self.outbox[0]
            result = publication.offer(message)
            if result in (-2, -3):  # back pressure, admin action: owed, so again next time
                return
            self.outbox.pop(0)

    # --- epochs ---

    def bump(self, stream, **made):
        stream.epoch = max(stream.epoch + 1, self.first_epoch or shm.now_ns())
        if stream.mapping:
            stream.mapping.close()
            stream.mapping = None
        stream.what = shm.make_epoch(self.base, self.namespace, stream.stream_id, stream.epoch, stream.nslots, stream.pools,
                                     **{**stream.made, **made})
        try:
            stream.mapping = shm.Mapping(stream.what, write=True, allowed=(self.base,), forbid_others=False, check_activity=False)
        except (shm.Refused, OSError):
            pass  # spoilt on purpose
        return stream.what

    def announce(self, stream, **changes):
        if stream.epoch == 0 or not self.announcing:
            return
        if stream.mapping and stream.producer is None:
            stream.mapping.touch()
        fields = dict(stream.what, producerId=stream.producer.client_id if stream.producer else 0, announceTimestampNs=shm.now_ns())
        fields = self.edit_announce(stream, {**fields, **changes})
        if fields is not None:
            self.send(wire.encode("ShmPoolAnnounce", **fields), self.announces)

    # --- leases ---

    def _on_ShmAttachRequest(self, request):
        def no(code, text):
            self.send(wire.encode("ShmAttachResponse", correlationId=request["correlationId"], code=code, errorMessage=text))

        # The same request again gets the same answer.
        owed, asked = self.refuse.get(request["streamId"]), (request["clientId"], request["correlationId"])
        if owed and asked not in self.refused:
            self.refused[asked] = owed.pop(0)
        if asked in self.refused:
            return no(*self.refused[asked])
        for lease in self.leases.values():
            if lease.client_id == request["clientId"]:
                if (lease.role, lease.asked_stream_id, lease.correlation_id) == (request["role"], request["streamId"], request["correlationId"]):
                    return self.respond(lease)
                return no(wire.REJECTED, "client_id already attached")
        if request["expectedLayoutVersion"] not in (0, 1):
            return no(wire.REJECTED, "layout version mismatch")
        stream = self.streams.get(request["streamId"])
        if stream is None:
            if not self.dynamic or request["publishMode"] != wire.EXISTING_OR_CREATE:
                return no(wire.REJECTED, "stream not provisioned")
            stream_id, nslots, pools = self.dynamic.pop(0)
            stream = self.streams[stream_id] = Stream(stream_id, nslots, pools)
        if request["role"] == wire.PRODUCER and stream.producer:
            return no(wire.REJECTED, "producer already attached")
        if request["role"] == wire.PRODUCER or stream.epoch == 0:
            self.bump(stream)
        lease = Lease(self.next_lease, request, stream, self.next_node, shm.now_ns() + self.lease_ns)
        self.next_lease += 1
        self.next_node += 1
        self.leases[lease.lease_id] = lease
        if lease.role == wire.PRODUCER:
            stream.producer = lease
        if not self.response_first:
            self.announce(stream)
        self.respond(lease)
        if self.response_first:
            self.announce(stream)

    def respond(self, lease):
        fields = dict(lease.stream.what, correlationId=lease.correlation_id, code=wire.OK, leaseId=lease.lease_id)
        if self.with_expiry:
            fields["leaseExpiryTimestampNs"] = lease.expiry_ns
        if self.with_node_id:
            fields["nodeId"] = lease.node_id
        fields = self.edit_response(lease, fields)
        if fields is not None:
            self.send(wire.encode("ShmAttachResponse", **self.response_extra, **fields))

    def _on_ShmLeaseKeepalive(self, fields):
        lease = self.leases.get(fields["leaseId"])
        if lease and (fields["streamId"], fields["clientId"], fields["role"]) == (lease.stream.stream_id, lease.client_id, lease.role):
            lease.expiry_ns = shm.now_ns() + self.lease_ns
            lease.keepalives += 1

    def _on_ShmDetachRequest(self, fields):
        lease = self.leases.get(fields["leaseId"])
        code, text = wire.REJECTED, "lease not found"
        if lease and (fields["streamId"], fields["clientId"], fields["role"]) == (lease.stream.stream_id, lease.client_id, lease.role):
            self.end(lease, wire.DETACHED)
            code, text = wire.OK, ""
        self.send(wire.encode("ShmDetachResponse", correlationId=fields["correlationId"], code=code, errorMessage=text))

    def end(self, lease, reason, text="", bump=True):
        del self.leases[lease.lease_id]
        self.assigned = {key: value for key, value in self.assigned.items() if key[1] != lease.client_id}
        self.send(wire.encode("ShmLeaseRevoked", timestampNs=shm.now_ns(), leaseId=lease.lease_id, streamId=lease.stream.stream_id,
                              clientId=lease.client_id, role=lease.role, reason=reason, errorMessage=text))
        if lease.role == wire.PRODUCER:
            lease.stream.producer = None
            if bump:
                self.bump(lease.stream)
                self.announce(lease.stream)

    def shutdown(self, reason=0, text=""):
        self.leases.clear()
        for stream in self.streams.values():
            stream.producer = None
        self.send(wire.encode("ShmDriverShutdown", timestampNs=shm.now_ns(), reason=reason, errorMessage=text))

    # --- streams of one consumer ---

    def _on_ConsumerHello(self, hello):
        """driver.md 13: an answer to consumers with a lease, once for each wish."""
        key = (hello["streamId"], hello["consumerId"])
        if not any(self.ids.values()) or not any(lease.role == wire.CONSUMER and key == (lease.stream.stream_id, lease.client_id)
                                                 for lease in self.leases.values()):
            return
        wish = tuple(hello[field] for field in ("descriptorStreamId", "descriptorChannel", "controlStreamId", "controlChannel"))
        known = self.assigned.get(key)
        if known and wish in known[:2]:
            return
        config = {}
        for plane, ids in self.ids.items():
            wanted, channel = hello[plane + "StreamId"], hello[plane + "Channel"]
            if wanted and channel and ids:
                config.update({plane + "StreamId": ids.pop(0), plane + "Channel": channel})
        granted = tuple(config.get(field, 0 if "Id" in field else b"")
                        for field in ("descriptorStreamId", "descriptorChannel", "controlStreamId", "controlChannel"))
        if known or any(wish):
            self.assigned[key] = (wish, granted)
            self.send(wire.encode("ConsumerConfig", streamId=key[0], consumerId=key[1], useShm=hello["supportsShm"], mode=hello["mode"], **config))

    def close(self):
        for stream in self.streams.values():
            if stream.mapping:
                stream.mapping.close()

"""A consumer of the protocol's documents, with a lease or by announces alone. One object, driven by poll()."""

import random
import time

import shm
import wire
from attach import Attachment, Planes


class Consumer:
    """frames: [(epoch, seq, header, payload)] in the order of arrival, copied inside the seqlock's window.

    announce_only: no lease, no request: whatever is announced is mapped.
    own_descriptors, own_control: (channel, stream id) to ask for."""

    def __init__(self, aeron, stream_id, planes=None, *, announce_only=False, consumer_id=0, period_ms=200, allowed=("/dev/shm",), hello=None,
                 own_descriptors=None, own_control=None, supports_progress=False, **request):
        self.aeron, self.stream_id, self.planes, self.allowed = aeron, stream_id, planes or Planes(), allowed
        self.control, self.control_in = aeron.publication(*self.planes.control), aeron.subscription(*self.planes.control)
        self.announce_in = aeron.subscription(*self.planes.announce) if self.planes.announce != self.planes.control else None
        self.descriptor_in = self.shared_in = aeron.subscription(*self.planes.descriptor)
        self.progress_in, self.own_in = None, None
        self.qos, self.qos_in = aeron.publication(*self.planes.qos), aeron.subscription(*self.planes.qos)
        self.metadata_in = aeron.subscription(*self.planes.metadata)
        self.attachment = Attachment(self.control, stream_id, wire.CONSUMER, client_id=consumer_id, wanted=not announce_only, **request)
        self.announce_only, self.period_ns, self.due = announce_only, period_ms * 1_000_000, 0
        self.hello = dict(supportsProgress=int(supports_progress))
        for plane, pair in (("descriptor", own_descriptors), ("control", own_control)):
            if pair:
                self.hello.update({plane + "Channel": pair[0], plane + "StreamId": pair[1]})
        self.hello.update(hello or {})
        self.mapping, self.highest, self.last, self.accepted = None, 0, None, {}
        self.frames, self.drops_gap, self.drops_late, self.remaps, self.refused = [], 0, 0, 0, []
        self.configs, self.progresses, self.sources, self.attributes, self.producer_reports, self.consumer_reports = [], [], [], [], [], {}
        self.announces, self.blobs, self.descriptors, self.assigned, self.epoch_mismatch = [], [], [], None, 0

    @property
    def consumer_id(self):
        return self.attachment.client_id

    def payloads(self):
        return [payload for _, _, _, payload in self.frames]

    # --- mapping ---

    def map(self, what):
        self.unmap()
        try:
            # Right after an attach the producer may not have touched its regions yet: W-63's one window of grace.
            self.mapping = shm.Mapping(what, allowed=self.allowed, check_activity=self.announce_only)
        except (shm.Refused, OSError) as error:
            self.refused.append(str(error))
            return
        self.highest, self.last, self.accepted, self.due = what["epoch"], None, {}, 0
        self.remaps += 1

    def unmap(self):
        if self.mapping:
            self.mapping.close()
            self.mapping = None

    def on_announce(self, fields, join_ns):
        self.announces.append(fields)
        if fields["announceClockDomain"] == wire.MONOTONIC:
            now = shm.now_ns()
            fresh = fields["announceTimestampNs"] >= join_ns
        else:
            now, fresh = time.time_ns(), fields["announceClockDomain"] == wire.REALTIME_SYNCED
        if not fresh or now - fields["announceTimestampNs"] > shm.STALE_NS or fields["epoch"] < self.highest:
            return
        if self.mapping and self.mapping.epoch == fields["epoch"]:
            return
        if self.announce_only or self.attachment.state == "attached":
            self.map(fields)

    # --- duty cycle ---

    def poll(self):
        now = shm.now_ns()
        self.attachment.poll(now)
        for subscription in filter(None, (self.control_in, self.announce_in, self.qos_in, self.metadata_in)):
            for message in subscription.poll():
                self.on_message(message, subscription)
        if self.progress_in:
            for message in self.progress_in.poll():
                self.on_progress(message)
        for subscription in filter(None, (self.shared_in, self.own_in)):
            for message in subscription.poll():
                self.on_descriptor(message, subscription)
        if now >= self.due and (self.mapping or self.announce_only or self.attachment.state == "attached"):
            self.due = now + self.period_ns
            self.say_hello()
            self.report()

    def say_hello(self):
        self.control.offer(wire.encode("ConsumerHello", **{**dict(streamId=self.stream_id, consumerId=self.consumer_id), **self.hello}))

    def report(self):
        self.qos.offer(wire.encode("QosConsumer", streamId=self.stream_id, consumerId=self.consumer_id, epoch=self.mapping.epoch if self.mapping else 0,
                                   lastSeqSeen=self.last or 0, dropsGap=self.drops_gap, dropsLate=self.drops_late, mode=self.hello.get("mode", 1)))

    def on_message(self, message, subscription):
        try:
            name, fields = wire.decode(message.data)
        except (wire.Ignored, wire.Malformed):
            return
        change = self.attachment.on_message(name, fields)
        if change is True:
            self.map(self.attachment.what)
        elif change is False:
            self.unmap()
        if fields.get("streamId") != self.stream_id:
            return
        if name == "ShmPoolAnnounce":
            self.on_announce(fields, subscription.join_ns.get(message.session_id, 0))
        elif name == "ConsumerConfig" and fields["consumerId"] == self.consumer_id:
            self.on_config(fields)
        elif name == "FrameProgress" and not self.progress_in:
            self.on_progress(message)
        elif name == "QosProducer":
            self.producer_reports.append(fields)
        elif name == "QosConsumer":
            self.consumer_reports[fields["consumerId"]] = fields
        elif name == "DataSourceAnnounce":
            self.sources.append(fields)
        elif name == "DataSourceMeta":
            self.attributes.append(fields)
        elif name.startswith("MetaBlob"):
            self.blobs.append((name, fields))

    def on_config(self, config):
        self.configs.append(config)
        for plane in ("descriptor", "control"):
            if bool(config[plane + "StreamId"]) != bool(config[plane + "Channel"]):
                return
        if (config["descriptorStreamId"], config["descriptorChannel"]) != ((self.own_in.stream_id, self.own_in.channel.encode()) if self.own_in
                                                                           else (0, b"")):
            self.switch(config)
        if self.progress_in and self.progress_in.stream_id != config["controlStreamId"]:
            self.progress_in.close()
            self.progress_in = None
        if config["controlStreamId"] and not self.progress_in:
            self.progress_in = self.aeron.subscription(config["controlChannel"].decode(), config["controlStreamId"])
        for plane in ("descriptor", "control"):
            if config[plane + "StreamId"]:  # what was assigned is repeated in later hellos
                self.hello.update({plane + "StreamId": config[plane + "StreamId"], plane + "Channel": config[plane + "Channel"]})

    def switch(self, config):
        if self.own_in:
            self.own_in.close()
            self.own_in = None
        if config["descriptorStreamId"]:
            self.own_in = self.aeron.subscription(config["descriptorChannel"].decode(), config["descriptorStreamId"])
            if self.shared_in:
                self.shared_in.close()
                self.shared_in = None
        elif not self.shared_in:
            self.shared_in = self.aeron.subscription(*self.planes.descriptor)
        self.last = None  # W-66: no remap after a switch

    # --- frames ---

    def on_descriptor(self, message, subscription):
        try:
            name, fields = wire.decode(message.data)
        except (wire.Ignored, wire.Malformed):
            return
        if name != "FrameDescriptor" or fields["streamId"] != self.stream_id:
            return
        self.descriptors.append((subscription.stream_id, fields))
        if not self.mapping:
            return
        if fields["epoch"] != self.mapping.epoch:
            self.epoch_mismatch += 1
            if fields["epoch"] > self.mapping.epoch:
                self.unmap()
            return
        seq = fields["seq"]
        if self.last is not None:
            if seq <= self.last:
                return
            self.drops_gap += seq - self.last - 1
        self.last = seq
        self.read(seq)

    def read(self, seq):
        """wire 8.2, with the payload copied inside the window."""
        index = seq & self.mapping.nslots - 1
        before = self.mapping.word(index)
        header, payload = None, b""
        if before & 1:
            raw = self.mapping.header(index)
            try:
                header = shm.unpack_slot(raw)
                stride, _ = self.mapping.pools.get(header["pool_id"], (0, None))
                if header["slot"] != index or header["values_len"] > stride:
                    header = None
                elif header["values_len"]:
                    payload = self.mapping.payload(header["pool_id"], index, header["values_len"])
            except shm.Refused:
                pass
        if header is None or self.mapping.word(index) != before or before >> 1 != seq or before < self.accepted.get(index, 0):
            self.drops_late += 1
            return
        self.accepted[index] = before
        self.frames.append((self.mapping.epoch, seq, header, payload))

    def on_progress(self, message):
        try:
            name, fields = wire.decode(message.data)
        except (wire.Ignored, wire.Malformed):
            return
        if name != "FrameProgress" or fields["streamId"] != self.stream_id or not self.mapping or fields["epoch"] != self.mapping.epoch:
            return
        index = fields["seq"] & self.mapping.nslots - 1
        prefix = None
        before = self.mapping.word(index)
        if before >> 1 == fields["seq"]:
            try:
                header = shm.unpack_slot(self.mapping.header(index))
                if fields["payloadBytesFilled"] <= header["values_len"]:
                    prefix = self.mapping.payload(header["pool_id"], index, fields["payloadBytesFilled"])
            except (shm.Refused, KeyError):
                pass
            if self.mapping.word(index) >> 1 != fields["seq"]:
                prefix = None
        self.progresses.append((message.stream_id, fields, prefix))

    def close(self):
        self.attachment.detach()
        self.unmap()


def random_id():
    return random.randrange(1, 1 << 31)

"""A producer of the protocol's documents, with a driver or without one. One object, driven by poll()."""

import os

import shm
import wire
from attach import Attachment, Planes


class Producer:
    """own: a dict for shm.make_epoch() (base, namespace, nslots, pools, ...): no driver, this one makes the files and announces.

    descriptors: whether any are sent (a peer that is followed by the ring alone sends none).
    listens: whether it hears anybody; one without a driver can do without.
    answers: whether hellos that ask for streams of their own are answered (a producer with a driver leaves that to it)."""

    def __init__(self, aeron, stream_id, planes=None, *, own=None, producer_id=0, period_ms=200, descriptors=True, answers=None, announces=None,
                 clock_domain=wire.MONOTONIC, first_epoch=None, listens=True, **request):
        self.aeron, self.stream_id, self.own, self.planes = aeron, stream_id, own, planes or Planes()
        self.control = aeron.publication(*self.planes.control)
        self.inputs = [aeron.subscription(*plane) for plane in (self.planes.control, self.planes.qos)] if listens else []
        self.announce_out = aeron.publication(*self.planes.announce) if self.planes.announce != self.planes.control else self.control
        self.descriptor = aeron.publication(*self.planes.descriptor) if descriptors else None
        self.qos = aeron.publication(*self.planes.qos)
        self.metadata = aeron.publication(*self.planes.metadata)
        self.period_ns, self.due, self.clock_domain, self.first_epoch = period_ms * 1_000_000, 0, clock_domain, first_epoch
        self.attachment = Attachment(self.control, stream_id, wire.PRODUCER, client_id=producer_id, wanted=own is None, **request)
        self.answers = own is not None if answers is None else answers
        self.announces = own is not None if announces is None else announces
        self.mapping, self.seq, self.source, self.what, self.epoch = None, 0, None, None, 0
        self.hellos, self.reports, self.own_streams, self.own_controls, self.heard = {}, {}, {}, {}, []
        self.fallback_uri, self.use_shm, self.assign = "", 1, {}
        if own is not None:
            self.new_epoch()

    @property
    def producer_id(self):
        return self.attachment.client_id

    def ready(self):
        return self.mapping is not None

    # --- epochs ---

    def new_epoch(self, **changes):
        self.own.update(changes)
        self.take(shm.make_epoch(stream_id=self.stream_id, epoch=max(self.epoch + 1, self.first_epoch or shm.now_ns()), **self.own),
                  (self.own["base"],))
        self.announce()

    def take(self, what, allowed=("/dev/shm",)):
        if self.mapping:
            self.mapping.close()
        self.mapping = None
        self.what, self.epoch, self.seq = what, what["epoch"], 0
        try:
            self.mapping = shm.Mapping(what, write=True, allowed=allowed)
            self.mapping.touch()
        except (shm.Refused, OSError):
            if self.own is None:
                raise  # a driver's regions are to be whole; our own may be spoilt on purpose

    def announce(self, **changes):
        stamp = shm.now_ns() if self.clock_domain == wire.MONOTONIC else __import__("time").time_ns()
        fields = {name: self.what[name] for name in ("streamId", "epoch", "layoutVersion", "headerNslots", "headerSlotBytes", "payloadPools",
                                                     "headerRegionUri")}
        fields.update(producerId=self.producer_id, announceTimestampNs=stamp, announceClockDomain=self.clock_domain)
        fields.update(changes)
        return self.announce_out.offer(wire.encode("ShmPoolAnnounce", **fields))

    # --- duty cycle ---

    def poll(self):
        now = shm.now_ns()
        for message in [message for each in self.inputs for message in each.poll()]:
            try:
                name, fields = wire.decode(message.data)
            except (wire.Ignored, wire.Malformed):
                continue
            change = self.attachment.on_message(name, fields)
            if change is True:
                self.take(self.attachment.what)
                self.due = 0
            elif change is False and self.mapping:
                self.mapping.close()
                self.mapping = None
            if fields.get("streamId") != self.stream_id:
                continue
            if name == "ConsumerHello":
                self.on_hello(fields)
            elif name == "ConsumerConfig":
                self.on_config(fields)
            elif name == "QosConsumer":
                self.reports[fields["consumerId"]] = fields
        self.attachment.poll(now)
        if self.mapping and now >= self.due:
            self.due = now + self.period_ns
            self.mapping.touch()
            if self.announces:
                self.announce()
            self.qos.offer(wire.encode("QosProducer", streamId=self.stream_id, producerId=self.producer_id, epoch=self.epoch, currentSeq=self.seq))
            self.tell_source()

    # --- hello and config ---

    def on_hello(self, hello):
        known = self.hellos.get(hello["consumerId"])
        self.hellos[hello["consumerId"]] = hello
        if not self.answers or known == hello:
            return
        asks = any(hello[field] for field in ("descriptorStreamId", "controlStreamId", "descriptorChannel", "controlChannel"))
        if asks or known or not hello["supportsShm"] or not self.use_shm:
            self.configure(hello["consumerId"])

    def configure(self, consumer_id, **changes):
        """The answer to a consumer's last hello: what it asks for, if it is a whole pair."""
        hello, config = self.hellos[consumer_id], {}
        for plane in ("descriptor", "control"):
            stream, channel = hello[plane + "StreamId"], hello[plane + "Channel"]
            if stream not in (0, wire.NULL32) and channel:
                config.update({plane + "StreamId": self.assign.get(stream, stream), plane + "Channel": channel})
        config.update(useShm=hello["supportsShm"] and self.use_shm, mode=hello["mode"], payloadFallbackUri=self.fallback_uri)
        config.update(changes)
        self.control.offer(wire.encode("ConsumerConfig", streamId=self.stream_id, consumerId=consumer_id, **config))

    def on_config(self, config):
        """W-74: whoever assigned it, ourselves or the driver, it is opened here."""
        self.heard.append(config)
        if config["useShm"] > 1 or config["mode"] not in (1, 2) or max(config["descriptorStreamId"], config["controlStreamId"]) > 0x7FFFFFFF:
            return
        for plane, streams in (("descriptor", self.own_streams), ("control", self.own_controls)):
            stream, channel = config[plane + "StreamId"], config[plane + "Channel"].decode()
            if bool(stream) != bool(channel):
                return
            old = streams.get(config["consumerId"])
            if old and (old.stream_id, old.channel) == (stream, channel):
                continue
            if old:
                old.close()
                del streams[config["consumerId"]]
            if stream:
                streams[config["consumerId"]] = self.aeron.publication(channel, stream)

    # --- frames ---

    def claim(self, length):
        """(sequence, slot index, pool id); the smallest pool that holds it (W-50)."""
        fits = sorted((stride, pool_id) for pool_id, (stride, _) in self.mapping.pools.items() if stride >= length)
        if not fits:
            raise ValueError(f"no pool holds {length} bytes")
        seq, self.seq = self.seq, self.seq + 1
        index = seq & self.mapping.nslots - 1
        self.mapping.set_word(index, seq << 1)
        return seq, index, fits[0][1]

    def publish(self, data=None, length=4096, *, tell=True, **header):
        """One frame: by default of the pattern `check`. header: for shm.pack_slot()."""
        seq, index, pool_id = self.claim(len(data) if data is not None else length)
        data = shm.check_pattern(seq, length) if data is None else data
        return self.commit(seq, index, pool_id, data, tell=tell, **header)

    def commit(self, seq, index, pool_id, data, *, tell=True, descriptor=None, **header):
        self.mapping.write_payload(pool_id, index, data)
        fields = dict(values_len=len(data), slot=index, pool_id=pool_id, timestamp_ns=shm.now_ns(),
                      meta_version=self.source["metaVersion"] if self.source else 0)
        fields.update(header)
        self.mapping.write_header(index, shm.pack_slot(**fields))
        self.mapping.set_word(index, seq << 1 | 1)
        if tell:
            self.tell(seq, **(descriptor or {}))
        return seq

    def tell(self, seq, **fields):
        """The descriptor of a frame, to everybody that is to hear it."""
        message = wire.encode("FrameDescriptor", **{**dict(streamId=self.stream_id, epoch=self.epoch, seq=seq), **fields})
        for publication in ([self.descriptor] if self.descriptor else []) + list(self.own_streams.values()):
            publication.offer(message)

    def progress(self, seq, filled, state, **fields):
        message = wire.encode("FrameProgress", **{**dict(streamId=self.stream_id, epoch=self.epoch, seq=seq, payloadBytesFilled=filled, state=state),
                                                  **fields})
        for publication in [self.control] + list(self.own_controls.values()):
            publication.offer(message)

    # --- metadata ---

    def set_source(self, name="", summary="", attributes=(), version=None):
        self.source = dict(metaVersion=version if version is not None else (self.source["metaVersion"] + 1 if self.source else 1),
                           name=name, summary=summary, attributes=[dict(zip(("key", "format", "value"), each)) for each in attributes])
        self.tell_source()

    def tell_source(self):
        if self.source is None:
            return
        source = self.source
        self.metadata.offer(wire.encode("DataSourceAnnounce", streamId=self.stream_id, producerId=self.producer_id, epoch=self.epoch,
                                        metaVersion=source["metaVersion"], name=source["name"], summary=source["summary"]))
        self.metadata.offer(wire.encode("DataSourceMeta", streamId=self.stream_id, metaVersion=source["metaVersion"], timestampNs=shm.now_ns(),
                                        attributes=source["attributes"]))

    def send_blob(self, kind, data, chunk=1000, checksum=None, order=None):
        """order: the chunks' offsets, where they are not to be 0, chunk, ..."""
        checksum = wire.crc32c(data) if checksum is None else checksum
        version = dict(streamId=self.stream_id, metaVersion=self.source["metaVersion"])
        self.metadata.offer(wire.encode("MetaBlobAnnounce", **version, blobType=kind, totalLen=len(data), checksum=checksum))
        for at in range(0, len(data), chunk) if order is None else order:
            self.metadata.offer(wire.encode("MetaBlobChunk", **version, chunkOffset=at, bytes=data[at:at + chunk]))
        self.metadata.offer(wire.encode("MetaBlobComplete", **version, checksum=checksum))

    def close(self):
        self.attachment.detach()
        if self.mapping:
            self.mapping.close()
            self.mapping = None


def own_pools(stage_base, nslots=16, strides=(4096,), **more):
    return dict(base=os.fspath(stage_base), namespace="stranger", nslots=nslots,
                pools=[shm.Pool(index + 1, stride) for index, stride in enumerate(strides)], **more)

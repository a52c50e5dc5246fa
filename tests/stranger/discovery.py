"""A discovery service, and who asks one. Objects driven by poll()."""

import random

import shm
import wire

REQUESTS = ("aeron:ipc?term-length=1m", 7000)
EXPIRY_NS = 3_000_000_000


class Service:
    """What it knows comes from announces and metadata of one driver's streams.

    edit: a function of (request, fields of the response) -> fields, bytes, or None to say nothing."""

    def __init__(self, aeron, instance_id, driver_control, requests=REQUESTS, announce=None, metadata=("aeron:ipc?term-length=4m", 1300)):
        self.aeron, self.instance_id, self.driver_control = aeron, instance_id, driver_control
        self.requests, self.announces = aeron.subscription(*requests), aeron.subscription(*(announce or driver_control))
        self.metadata = aeron.subscription(*metadata)
        self.entries, self.names, self.tags, self.publications, self.owed, self.heard = {}, {}, {}, {}, [], []
        self.edit, self.options = lambda _request, fields: fields, {}

    def poll(self):
        now = shm.now_ns()
        for message in self.announces.poll() + self.metadata.poll() + self.requests.poll():
            try:
                name, fields = wire.decode(message.data)
            except (wire.Ignored, wire.Malformed):
                continue
            if name == "ShmPoolAnnounce":
                known = self.entries.get(fields["streamId"])
                if fields["streamId"] and (not known or fields["epoch"] >= known[1]["epoch"] or now - known[0] > EXPIRY_NS):
                    self.entries[fields["streamId"]] = (now, fields)
            elif name == "DataSourceAnnounce":
                self.names[fields["streamId"]] = fields["name"]
            elif name == "DiscoveryRequest":
                self.heard.append(fields)
                self.answer(fields, now)
        for each in list(self.owed):
            until, publication, data = each
            if publication.offer(data) > 0 or now > until:
                self.owed.remove(each)

    def answer(self, request, now):
        results = []
        for stream_id, (heard, fields) in sorted(self.entries.items()):
            name, tags = self.names.get(stream_id, b""), self.tags.get(stream_id, [])
            wanted = ((request["streamId"], wire.NULL32, stream_id), (request["producerId"], wire.NULL32, fields["producerId"]),
                      (request["dataSourceId"], wire.NULL64, None), (request["dataSourceName"], b"", name))
            if now - heard < EXPIRY_NS and all(filter_ in (null, value) for filter_, null, value in wanted) and all(
                    tag in [each.encode() for each in tags] for tag in request["tags"] if tag):
                results.append(dict(streamId=stream_id, producerId=fields["producerId"], epoch=fields["epoch"], layoutVersion=fields["layoutVersion"],
                                    headerNslots=fields["headerNslots"], driverControlStreamId=self.driver_control[1],
                                    payloadPools=fields["payloadPools"], tags=tags, headerRegionUri=fields["headerRegionUri"], dataSourceName=name,
                                    driverInstanceId=self.instance_id, driverControlChannel=self.driver_control[0]))
        fields = self.edit(request, dict(requestId=request["requestId"], status=wire.FOUND, results=results))
        if fields is None or not request["responseChannel"] or not 0 < request["responseStreamId"] <= 0x7FFFFFFF:
            return
        key = (request["responseChannel"].decode(), request["responseStreamId"])
        if key not in self.publications:
            self.publications[key] = self.aeron.publication(*key)
        data = fields if isinstance(fields, bytes) else wire.encode("DiscoveryResponse", **self.options, **fields)
        self.owed.append((now + 1_000_000_000, self.publications[key], data))


class Query:
    """One who asks. ask() sends, answers gathers what comes back for it."""

    def __init__(self, aeron, response=("aeron:ipc?term-length=1m", 7104), requests=REQUESTS):
        self.response, self.client_id = response, random.randrange(1, 1 << 31)
        self.subscription, self.publication = aeron.subscription(*response), aeron.publication(*requests)
        self.next_id, self.answers, self.raw = (self.client_id << 32) + 1, {}, []

    def ask(self, *, options=None, **filters):
        request = dict(requestId=self.next_id, clientId=self.client_id, responseStreamId=self.response[1], responseChannel=self.response[0])
        self.next_id += 1
        request.update(filters)
        return request["requestId"], wire.encode("DiscoveryRequest", **(options or {}), **request)

    def send(self, **asked):
        """Sends the request and returns its id. Only after the publication has found a service."""
        request_id, data = self.ask(**asked)
        self.publication.offer(data)
        return request_id

    def poll(self):
        for message in self.subscription.poll():
            try:
                name, fields = wire.decode(message.data)
            except (wire.Ignored, wire.Malformed):
                continue
            if name == "DiscoveryResponse":
                self.answers.setdefault(fields["requestId"], []).append(fields)
                self.raw.append(message.data)

"""One deployment for one test: a directory and a media driver of its own, tidepool's commands, and the strangers.

Nothing sleeps to keep an order: until() drives every stranger until a condition holds, for at most 30 seconds."""

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import aeron
import shm
import wire
from attach import CONTROL, Planes

BINARY = os.environ.get("TIDEPOOL_BINARY", "tidepool")
PATIENCE = 30


class Command:
    """A running tidepool command. log(): its stderr so far; result(): the JSON of its last line, once it has ended."""

    def __init__(self, stage, arguments, env):
        self.stage, self.arguments = stage, arguments
        base = os.path.join(stage.directory, f"{len(stage.commands)}-{arguments[0]}")
        self.out_path, self.log_path = base + ".out", base + ".log"
        with open(self.out_path, "wb") as out, open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=env)

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def out(self):
        with open(self.out_path, errors="replace") as file:
            return file.read()

    def ended(self):
        return self.process.poll() is not None

    def ready(self):
        if self.ended():
            raise AssertionError(f"{self} ended:\n{self.log()}")
        return '"event":"ready"' in self.out()

    def result(self):
        return json.loads(self.out().strip().splitlines()[-1])

    def wait(self, code=0):
        self.stage.until(self.ended, f"{self} to end")
        if code is not None and self.process.returncode != code:
            raise AssertionError(f"{self} ended with {self.process.returncode}, expected {code}:\n{self.out()}{self.log()}")
        return self

    def stop(self, code=0):
        """As an operator does; the result."""
        if not self.ended():
            self.process.send_signal(signal.SIGINT)
        return self.wait(code).result()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __str__(self):
        return "tidepool " + " ".join(self.arguments)


class Stage:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="tidepool-stranger-", dir="/dev/shm")
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        self.aeron_dir, self.base = os.path.join(self.directory, "aeron"), os.path.join(self.directory, "pools")
        os.makedirs(self.base, mode=0o770)
        self.commands, self.clients, self.agents = [], [], []
        # Nothing of the caller's configuration; what is repeated is repeated faster, so that nobody waits for a second to pass.
        self.env = {key: value for key, value in os.environ.items()
                    if not key.startswith(("DRIVER_", "SHM_", "POLICIES_", "CLIENT_", "PRODUCER_", "CONSUMER_", "DISCOVERY_", "AERON_", "TIDEPOOL_"))}
        self.env.update(TIDEPOOL_LOG="debug", CONSUMER_HELLO_INTERVAL_MS="100", CONSUMER_QOS_INTERVAL_MS="100", PRODUCER_QOS_INTERVAL_MS="100",
                        CLIENT_ATTACH_RETRY_INTERVAL_MS="200")
        self.media = self.run("media-driver", "--json")
        self.until(self.media.ready, "the media driver")

    def run(self, *arguments, **env):
        if arguments[0] not in ("config", "version", "inspect"):
            where = 2 if arguments[0] == "discovery" else 1
            arguments = (*arguments[:where], "--aeron-dir", self.aeron_dir, *arguments[where:])
        command = Command(self, list(map(str, arguments)), {**self.env, **{key: str(value) for key, value in env.items()}})
        self.commands.append(command)
        return command

    def driver(self, config=None, streams=None, **tables):
        """`tidepool driver`, ready. streams: {name: (id, profile)}; tables: more lines for driver, policies, profiles, ..."""
        command = self.run("driver", "--json", "--config", self.write_config(streams, **tables) if config is None else config)
        self.until(command.ready, "the driver")
        return command

    def write_config(self, streams=None, driver="", policies="", profiles="", rest="", shm=""):
        path = os.path.join(self.directory, f"driver-{len(self.commands)}.toml")
        with open(path, "w") as file:
            file.write(f'[driver]\ninstance_id = "ours"\n{driver}\n[shm]\nbase_dir = "{self.base}"\nnamespace = "ours"\n{shm}\n'
                       f"[policies]\nannounce_period_ms = 200\nprefault_shm = false\n{policies}\n[profiles.small]\nheader_nslots = 64\n"
                       f"payload_pools = [{{ pool_id = 1, stride_bytes = 8192 }}]\n{profiles}\n")
            for name, (stream_id, profile) in (streams or {"front": (10000, "small")}).items():
                file.write(f'[streams.{name}]\nstream_id = {stream_id}\nprofile = "{profile}"\n')
            file.write(rest)
        return path

    def client(self, **options):
        made = aeron.Client(self.aeron_dir, **options)
        self.clients.append(made)
        return made

    def add(self, agent):
        self.agents.append(agent)
        return agent

    def drop(self, agent):
        self.agents.remove(agent)

    def step(self):
        for agent in list(self.agents):
            agent.poll()

    def until(self, condition, what, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {patience} s for {what}\n{self.logs()}")
            self.step()
            time.sleep(0.001)

    def logs(self):
        return "\n".join(f"--- {command}\n{command.out()[-1000:]}{command.log()[-1500:]}" for command in self.commands[:6])

    def close(self):
        for command in self.commands[1:]:
            if not command.ended():
                command.process.send_signal(signal.SIGTERM)
        for agent in self.agents:
            with contextlib.suppress(Exception):
                agent.close()
        for client in self.clients:
            client.close()
        for command in self.commands[1:] + self.commands[:1]:
            if not command.ended():
                command.process.send_signal(signal.SIGTERM)
                try:
                    command.process.wait(5)
                except subprocess.TimeoutExpired:
                    command.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.stage = Stage()
        self.addCleanup(self.stage.close)

    def until(self, condition, what):
        self.stage.until(condition, what)


class Feeder:
    """Publishes a frame of the pattern `check` each 1/rate s for as long as its producer can."""

    def __init__(self, producer, rate=400, length=4096, **frame):
        self.producer, self.interval_ns, self.length, self.frame, self.due, self.published = producer, 1_000_000_000 // rate, length, frame, 0, 0
        self.paused = False

    def poll(self):
        self.producer.poll()
        now = shm.now_ns()
        if not self.paused and self.producer.ready() and now >= self.due:
            self.due = max(self.due + self.interval_ns, now - 10 * self.interval_ns)
            self.producer.publish(length=self.length, **self.frame)
            self.published += 1

    def close(self):
        self.producer.close()


class Asker:
    """Sends whatever one likes on the control stream, and hears everything: control, announces, QoS, metadata."""

    def __init__(self, client, planes=None):
        planes = planes or Planes()
        self.out, self.heard, self.order, self.next_correlation = client.publication(*planes.control), [], [], int.from_bytes(os.urandom(4), "little")
        self.subscriptions = [client.subscription(*plane) for plane in dict.fromkeys((planes.control, planes.announce))]

    def poll(self):
        for subscription in self.subscriptions:
            for message in subscription.poll():
                with contextlib.suppress(wire.Ignored, wire.Malformed):
                    self.heard.append(wire.decode(message.data))

    def close(self):
        pass

    def all(self, name, **fields):
        return [body for heard, body in self.heard if heard == name and all(body[key] == value for key, value in fields.items())]

    def send(self, *message, **fields):
        data = wire.encode(*message, **fields) if isinstance(message[0], str) else message[0]
        assert self.out.offer(data) > 0, "offer"

    def correlation(self):
        self.next_correlation += 1
        return self.next_correlation

    def ask(self, stage, stream_id, role, client_id, *, expect=None, **fields):
        """An attach request and its response."""
        correlation = fields.pop("correlationId", None)
        correlation = self.correlation() if correlation is None else correlation
        before = len(self.all("ShmAttachResponse", correlationId=correlation))
        fields.setdefault("publishMode", wire.EXISTING_OR_CREATE if role == wire.PRODUCER else wire.REQUIRE_EXISTING)
        self.send("ShmAttachRequest", correlationId=correlation, streamId=stream_id, role=role, clientId=client_id, **fields)
        stage.until(lambda: len(self.all("ShmAttachResponse", correlationId=correlation)) > before, f"the response to {fields}")
        response = self.all("ShmAttachResponse", correlationId=correlation)[-1]
        if expect is not None:
            assert response["code"] == expect, response
        return response

    def keepalive(self, lease, role, client_id, /, **changes):
        fields = dict(leaseId=lease["leaseId"], streamId=lease["streamId"], clientId=client_id, role=role, clientTimestampNs=shm.now_ns())
        self.send("ShmLeaseKeepalive", **{**fields, **changes})

    def detach(self, stage, lease, role, client_id, /, **changes):
        correlation = self.correlation()
        fields = dict(correlationId=correlation, leaseId=lease["leaseId"], streamId=lease["streamId"], clientId=client_id, role=role)
        self.send("ShmDetachRequest", **{**fields, **changes})
        stage.until(lambda: self.all("ShmDetachResponse", correlationId=correlation), "the response to a detach")
        return self.all("ShmDetachResponse", correlationId=correlation)[-1]


__all__ = ["Asker", "Case", "Command", "CONTROL", "Feeder", "PATIENCE", "Planes", "Stage"]

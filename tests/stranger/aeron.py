"""Aeron's C client (libaeron.so) by ctypes: connect, publish, subscribe. Knows no message.

Written against aeronc.h alone. TIDEPOOL_AERON_LIBRARY names the library; CMake passes the one that it found.
"""

import collections
import ctypes
import os
import struct
import time

NOT_CONNECTED, BACK_PRESSURED, ADMIN_ACTION, CLOSED, MAX_POSITION_EXCEEDED, ERROR = -1, -2, -3, -4, -5, -6

_IMAGE_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_FRAGMENT_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)

Message = collections.namedtuple("Message", "data session_id stream_id")


class AeronError(RuntimeError):
    pass


def _load():
    lib = ctypes.CDLL(os.environ.get("TIDEPOOL_AERON_LIBRARY", "libaeron.so"))
    pointer, text, i32, i64, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int64, ctypes.c_size_t
    out = ctypes.POINTER(pointer)
    for name, result, arguments in (
        ("aeron_errmsg", text, []),
        ("aeron_context_init", i32, [out]),
        ("aeron_context_set_dir", i32, [pointer, text]),
        ("aeron_context_set_driver_timeout_ms", i32, [pointer, ctypes.c_uint64]),
        ("aeron_context_close", i32, [pointer]),
        ("aeron_init", i32, [out, pointer]),
        ("aeron_start", i32, [pointer]),
        ("aeron_close", i32, [pointer]),
        ("aeron_is_closed", ctypes.c_bool, [pointer]),
        ("aeron_async_add_publication", i32, [out, pointer, text, ctypes.c_int32]),
        ("aeron_async_add_publication_poll", i32, [out, pointer]),
        ("aeron_async_add_subscription", i32, [out, pointer, text, ctypes.c_int32, _IMAGE_HANDLER, pointer, _IMAGE_HANDLER, pointer]),
        ("aeron_async_add_subscription_poll", i32, [out, pointer]),
        ("aeron_publication_offer", i64, [pointer, text, size, pointer, pointer]),
        ("aeron_publication_is_connected", ctypes.c_bool, [pointer]),
        ("aeron_publication_close", i32, [pointer, pointer, pointer]),
        ("aeron_async_add_exclusive_publication", i32, [out, pointer, text, ctypes.c_int32]),
        ("aeron_async_add_exclusive_publication_poll", i32, [out, pointer]),
        ("aeron_exclusive_publication_offer", i64, [pointer, text, size, pointer, pointer]),
        ("aeron_exclusive_publication_is_connected", ctypes.c_bool, [pointer]),
        ("aeron_exclusive_publication_close", i32, [pointer, pointer, pointer]),
        ("aeron_subscription_poll", i32, [pointer, pointer, pointer, size]),
        ("aeron_subscription_image_count", i32, [pointer]),
        ("aeron_subscription_is_connected", ctypes.c_bool, [pointer]),
        ("aeron_subscription_close", i32, [pointer, pointer, pointer]),
        ("aeron_fragment_assembler_create", i32, [out, _FRAGMENT_HANDLER, pointer]),
        ("aeron_fragment_assembler_delete", i32, [pointer]),
        ("aeron_header_values", i32, [pointer, pointer]),
        ("aeron_image_constants", i32, [pointer, pointer]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


_lib = _load()
_ASSEMBLE = ctypes.cast(_lib.aeron_fragment_assembler_handler, ctypes.c_void_p)


def _check(result, what):
    if result < 0:
        raise AeronError(f"{what}: {(_lib.aeron_errmsg() or b'').decode(errors='replace')}")
    return result


class Client:
    """A connection to the media driver of a directory. Its conductor runs on a thread of Aeron's own."""

    def __init__(self, directory, exclusive=False):
        self.exclusive = exclusive
        self._context, self._aeron, self._open = ctypes.c_void_p(), ctypes.c_void_p(), []
        _check(_lib.aeron_context_init(ctypes.byref(self._context)), "aeron_context_init")
        _lib.aeron_context_set_dir(self._context, os.fsencode(directory))
        _check(_lib.aeron_init(ctypes.byref(self._aeron), self._context), f"connect to {directory}")
        _check(_lib.aeron_start(self._aeron), "aeron_start")

    def _add(self, what, add, poll):
        request, made = ctypes.c_void_p(), ctypes.c_void_p()
        _check(add(ctypes.byref(request)), what)
        deadline = time.monotonic() + 30
        while _check(poll(ctypes.byref(made), request), what) == 0:
            if time.monotonic() > deadline:
                raise AeronError(f"{what}: the media driver does not answer")
            time.sleep(0.0005)
        return made

    def publication(self, channel, stream_id):
        """One object for each channel and stream, however often it is asked for: close() is for all who have it."""
        for each in self._open:
            if isinstance(each, Publication) and (each.channel, each.stream_id) == (channel, stream_id) and each.open():
                return each
        # Shared publications of one IPC stream have one log and one session, whoever opens them; an exclusive one has its own.
        kind = "exclusive_publication" if self.exclusive else "publication"
        add, poll = getattr(_lib, "aeron_async_add_" + kind), getattr(_lib, f"aeron_async_add_{kind}_poll")
        made = Publication(self._add(f"{kind} {channel} {stream_id}", lambda out: add(out, self._aeron, channel.encode(), stream_id), poll),
                           kind, channel, stream_id)
        self._open.append(made)
        return made

    def subscription(self, channel, stream_id):
        made = Subscription(channel, stream_id)
        made.attach(self._add(f"subscription {channel} {stream_id}",
                              lambda out: _lib.aeron_async_add_subscription(out, self._aeron, channel.encode(), stream_id,
                                                                            made.on_image, None, made.off_image, None),
                              _lib.aeron_async_add_subscription_poll))
        self._open.append(made)
        return made

    def is_closed(self):
        return not self._aeron or _lib.aeron_is_closed(self._aeron)

    def close(self):
        if not self._aeron:
            return
        for each in self._open:
            each.close()
        _lib.aeron_close(self._aeron)
        _lib.aeron_context_close(self._context)
        self._aeron = None


class Publication:
    def __init__(self, handle, kind, channel, stream_id):
        self._handle, self.channel, self.stream_id = handle, channel, stream_id
        self._offer, self._connected, self._close = (getattr(_lib, f"aeron_{kind}_{verb}") for verb in ("offer", "is_connected", "close"))

    def offer(self, message):
        """A position, or one of the negative results above. Never waits; cuts into fragments where needed."""
        return self._offer(self._handle, bytes(message), len(message), None, None) if self._handle else CLOSED

    def open(self):
        return bool(self._handle)

    def connected(self):
        return bool(self._handle) and self._connected(self._handle)

    def close(self):
        if self._handle:
            self._close(self._handle, None, None)
            self._handle = None


class Subscription:
    """join_ns: {session: CLOCK_MONOTONIC ns at which its image came}, the join time of W-56."""

    def __init__(self, channel, stream_id):
        self.channel, self.stream_id, self.join_ns, self.lost = channel, stream_id, {}, set()
        self._handle, self._assembler, self._heard = None, ctypes.c_void_p(), []
        # Kept here: ctypes frees a callback with its last reference.
        self.on_image = _IMAGE_HANDLER(lambda _clientd, _subscription, image: self._image(image, True))
        self.off_image = _IMAGE_HANDLER(lambda _clientd, _subscription, image: self._image(image, False))
        self._on_message = _FRAGMENT_HANDLER(self._message)

    def attach(self, handle):
        self._handle = handle
        _check(_lib.aeron_fragment_assembler_create(ctypes.byref(self._assembler), self._on_message, None), "fragment assembler")

    def _image(self, image, came):
        constants = ctypes.create_string_buffer(256)
        if _lib.aeron_image_constants(image, constants) < 0:
            return
        # aeron_image_constants_t: two pointers, correlation_id i64, join_position i64, three size_t, session_id i32, ...
        session_id = struct.unpack_from("<i", constants, 56)[0]
        if came:
            self.join_ns[session_id] = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            self.lost.discard(session_id)
        else:
            self.lost.add(session_id)

    def _message(self, _clientd, buffer, length, header):
        values = ctypes.create_string_buffer(64)  # aeron_header_values_t: frame_length i32, version i8, flags u8, type i16,
        _lib.aeron_header_values(header, values)  # term_offset i32, session_id i32, stream_id i32, ...
        session_id, stream_id = struct.unpack_from("<ii", values, 12)
        self._heard.append(Message(ctypes.string_at(buffer, length), session_id, stream_id))

    def poll(self, limit=64):
        if not self._handle:
            return []
        _check(_lib.aeron_subscription_poll(self._handle, _ASSEMBLE, self._assembler, limit), "poll")
        heard, self._heard = self._heard, []
        return heard

    def connected(self):
        return bool(self._handle) and _lib.aeron_subscription_is_connected(self._handle)

    def images(self):
        return _lib.aeron_subscription_image_count(self._handle) if self._handle else 0

    def close(self):
        if self._handle:
            _lib.aeron_subscription_close(self._handle, None, None)
            _lib.aeron_fragment_assembler_delete(self._assembler)
            self._handle = None

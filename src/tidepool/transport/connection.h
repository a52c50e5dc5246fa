#pragma once
// One Aeron client: a connection to the media driver, and the publications and subscriptions made with it.
//
// Thread safety: Connection: one thread makes publications and subscriptions and calls poll(); alive(), failure() and the
//   constants any thread. Publication: any thread (Aeron's concurrent publication). Subscription: one thread polls; the
//   other calls any thread. Any of them may be released on any thread that is not using it: with invoker what Aeron
//   held for it is given back by the next Connection::poll() (only that thread touches Aeron's conductor), or by the end
//   of the connection. Image handlers must not add publications or subscriptions, nor poll.
// Lifetime: publications and subscriptions keep their connection. When the media driver dies, alive() turns false within
//   about `driver_timeout_ms`, every send() says kClosed and every poll() returns 0, and no memory that they look at goes
//   away; a new Connection is then needed. With invoker, a connection that is not polled for the media driver's client
//   liveness time-out (10 s) is dead as well.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "tidepool/base/bytes.h"
#include "tidepool/transport/counters.h"

namespace tidepool::transport {

struct ConnectionOptions {
  std::string aeron_dir;               // empty: Aeron's default
  uint64_t driver_timeout_ms = 10'000; // media driver silent for this long: dead
  uint64_t add_timeout_ms = 5'000;     // for a publication or subscription to be accepted
  bool invoker = true;                 // poll() drives Aeron's conductor; false: Aeron starts a thread for it
  std::string client_name;             // shows in Aeron's tools; at most 100 bytes
};

enum class SendResult : uint8_t {
  kOk,
  kNotConnected,   // nobody subscribes: a normal state
  kBackPressured,  // a subscriber or the log is behind: try later or drop
  kAdminAction,    // term rotation: try again
  kClosed,         // publication or connection is gone: make a new one
  kMaxPosition,    // the log is used up: make a new publication
  kTooLong,        // longer than the channel's maximum message
  kError,
};
std::string_view name_of(SendResult result) noexcept;

// Made by Connection::add_publication() alone, which its calls rely on.
class Publication {
 public:
  virtual ~Publication();
  // Send one message, fragmented if needed (W-12). Never blocks.
  SendResult send(Bytes message) noexcept;
  // Reserve `bytes` (at most max_payload_bytes) in the log and let `fill(MutableBytes)` write them there: no copy. What is
  // reserved holds old bytes of the log: fill all of it. `fill` must not throw: an open reservation stops the stream.
  template <typename Fill>
  SendResult send_in_place(size_t bytes, Fill&& fill) noexcept {
    Reserved reserved;
    const SendResult result = reserve(bytes, reserved);
    if (result == SendResult::kOk) {
      fill(reserved.bytes);
      commit(reserved);
    }
    return result;
  }
  size_t max_payload_bytes() const noexcept;  // of one fragment: what send_in_place() takes
  size_t max_message_bytes() const noexcept;  // what send() takes
  bool connected() const noexcept;
  bool closed() const noexcept;
  const std::string& channel() const noexcept;
  int32_t stream_id() const noexcept;
  int32_t session_id() const noexcept;
  // How far the log has been written, by anybody on it: messages with MessageInfo::position up to here are older than this call.
  int64_t position() const noexcept;

 protected:
  struct Reserved {
    MutableBytes bytes;
    std::byte* frame = nullptr;  // Aeron's frame header, for commit()
  };
  Publication() = default;

 private:
  SendResult reserve(size_t bytes, Reserved& reserved) noexcept;
  void commit(const Reserved& reserved) noexcept;
};

// Where a received message comes from.
struct MessageInfo {
  int32_t session_id = 0;  // Aeron session: one publisher's image (per-image rules, W-56)
  int64_t position = 0;
};

// Made by Connection::add_subscription() alone, which its calls rely on.
class Subscription {
 public:
  // Told when a publisher's image appears or goes; runs in Connection::poll() or add_subscription() (on Aeron's thread
  // without invoker), never after the subscription was released. What it throws is logged and dropped.
  using ImageHandler = std::function<void(int32_t session_id)>;

  virtual ~Subscription();
  // Take up to `limit` fragments and deliver the messages that they complete (reassembled, D-5) to
  // `sink(Bytes, const MessageInfo&)`, which must not throw, poll this subscription or release it. The bytes are valid
  // during the call. Returns how many fragments were taken.
  template <typename Sink>
  int poll(Sink&& sink, int limit) noexcept {
    return poll_raw([](void* self, Bytes message,
                       const MessageInfo& info) { (*static_cast<std::remove_reference_t<Sink>*>(self))(message, info); },
                    const_cast<void*>(static_cast<const void*>(&sink)), limit);
  }
  bool connected() const noexcept;
  bool closed() const noexcept;
  int image_count() const noexcept;
  const std::string& channel() const noexcept;
  int32_t stream_id() const noexcept;

 protected:
  Subscription() = default;

 private:
  using RawSink = void (*)(void* self, Bytes message, const MessageInfo& info);
  int poll_raw(RawSink sink, void* self, int limit) noexcept;
};

// A publication that the media driver has been asked for. Made by Connection::start_publication() alone, for duty cycles that must
// not wait for it. Thread safety: the thread that makes publications; released there too. Giving it up takes the wish back.
class PendingPublication {
 public:
  virtual ~PendingPublication();
  // The publication, once; nullptr while there is none yet. With invoker, Connection::poll() brings it nearer. Throws Error as
  // add_publication() does (refused, no answer within add_timeout_ms, media driver gone); after either it is spent.
  std::shared_ptr<Publication> poll();

 protected:
  PendingPublication() = default;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Throws Error kUnavailable (no media driver in the directory, or a dead one: says which, heartbeat age, what to start).
  static std::shared_ptr<Connection> open(const ConnectionOptions& options);
  virtual ~Connection();

  // Throw Error kUnavailable/kInvalidArgument with channel, stream id and Aeron's words.
  std::shared_ptr<Publication> add_publication(const std::string& channel, int32_t stream_id);
  std::unique_ptr<PendingPublication> start_publication(const std::string& channel, int32_t stream_id);
  std::shared_ptr<Subscription> add_subscription(const std::string& channel, int32_t stream_id,
                                                 Subscription::ImageHandler on_available = {},
                                                 Subscription::ImageHandler on_unavailable = {});

  // Ask for counters of one owner, in the media driver's counters file (counters.h). Does not wait for them: CounterSet::poll()
  // takes them over. Throws Error kUnavailable when the connection is dead.
  std::unique_ptr<CounterSet> add_counters(const CounterOwner& owner, std::span<const CounterKind> kinds);

  int poll() noexcept;  // with invoker: one duty cycle of Aeron's conductor; returns the work done
  bool alive() const noexcept;
  // Why alive() is false, in Aeron's words; empty while it is true.
  std::string failure() const;
  const std::string& aeron_dir() const noexcept;
  int64_t client_id() const noexcept;

 protected:
  Connection() = default;
};

// `channel` with the parameter `key=value` added, unless it has the key: with_parameter("aeron:ipc?term-length=4m",
// "tether", "false") for descriptor subscriptions, so that a stalled one does not hold the publisher back (design 2).
std::string with_parameter(const std::string& channel, const std::string& key, const std::string& value);

}  // namespace tidepool::transport

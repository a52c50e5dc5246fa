#pragma once
// What a connection and all that it hands out are made of; for this folder's sources alone.
//
// Why Aeron's C API and not its C++ wrapper. The wrapper's destructors close publications on whatever thread lets go of
// them, which in invoker mode changes the conductor's tables under the thread that polls; after a driver time-out they leak
// what they gave to callbacks; and its sends throw. What the C client promises, and what this file rests on (1.54.0):
//
//  - A conductor that finds the driver dead only marks everything closed. Logs, images and counters stay mapped until
//    aeron_close(), so a send() or poll() that is under way on another thread touches nothing that has gone.
//  - aeron_close() frees what was never closed, so whoever keeps the client until last frees everything.
//  - With a conductor thread, closing goes through its queue and is safe anywhere. In invoker mode closing acts at once
//    on the calling thread: hence the list of retired objects that poll() works off.

#include <aeronc.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/transport/aeron_words.h"
#include "tidepool/transport/connection.h"
#include "tidepool/transport/counters.h"

namespace tidepool::transport {

class ConnectionImpl;
struct Core;

// What Aeron's image callbacks look at. Outlives the Subscription until Aeron has let go of it: see Core::images.
struct ImageState {
  Core* core = nullptr;  // immutable

  // Serialises handlers (on the conductor's thread) with the end of the subscription (any thread). Recursive, since a
  // handler may let go of its own subscription.
  std::recursive_mutex mutex;
  bool armed = true;                          // GUARDED_BY(mutex): the user's functions may still be called
  bool calling = false;                       // GUARDED_BY(mutex): one of them is running
  Subscription::ImageHandler on_available;    // GUARDED_BY(mutex)
  Subscription::ImageHandler on_unavailable;  // GUARDED_BY(mutex)
  std::vector<int32_t> gone;                  // GUARDED_BY(mutex): sessions whose reassembly buffers may be freed
  std::atomic<bool> any_gone{false};          // relaxed: `gone` itself is read under the mutex
  std::atomic<int> count{0};                  // relaxed: a number for people and for connected()

  // No handler from here on, and what the handlers own is let go of: they may own the connection, which Aeron's hold on
  // this state would then keep for ever. A handler that is running cannot end under its own feet: it does afterwards.
  void disarm() noexcept {
    Subscription::ImageHandler available;  // end after the lock
    Subscription::ImageHandler unavailable;
    const std::lock_guard lock(mutex);
    armed = false;
    if (!calling) {
      available.swap(on_available);
      unavailable.swap(on_unavailable);
    }
  }
  // The caller holds the mutex.
  void call(const Subscription::ImageHandler& handler, int32_t session_id) noexcept {
    if (!handler) return;
    calling = true;
    try {
      handler(session_id);
    } catch (const std::exception& e) {
      log(LogLevel::kError, "transport", "an image handler threw: ", e.what());
    } catch (...) {
      log(LogLevel::kError, "transport", "an image handler threw");
    }
    calling = false;
  }
};

// One Aeron object that its owner has let go of. Made with the object, so that letting go cannot fail.
struct Retired {
  aeron_publication_t* publication = nullptr;
  aeron_subscription_t* subscription = nullptr;
  ImageState* images = nullptr;  // of the subscription; owned by Core::images
  std::vector<aeron_counter_t*> counters;             // of a set
  std::vector<aeron_async_add_counter_t*> adding;     // of a set: asked for, not there yet
  std::unique_ptr<Retired> next;
};

// The Aeron client and all that its callbacks use. Destroyed as a whole: client first, then what it called back into.
struct Core {
  aeron_context_t* context = nullptr;
  aeron_t* client = nullptr;
  bool invoker = true;

  mutable std::mutex failure_mutex;
  std::string failure;  // GUARDED_BY(failure_mutex)

  std::mutex images_mutex;
  // GUARDED_BY(images_mutex): states that Aeron still holds a pointer to. Whatever is left here goes with the client.
  std::unordered_map<ImageState*, std::shared_ptr<ImageState>> images;
  void forget(ImageState* state) noexcept {
    std::shared_ptr<ImageState> last;  // ends after the lock
    const std::lock_guard lock(images_mutex);
    if (const auto found = images.find(state); found != images.end()) {
      last = std::move(found->second);
      images.erase(found);
    }
  }

  ~Core() {
    // aeron_close() joins Aeron's thread and frees every publication, subscription and image that is left.
    if (client != nullptr && aeron_close(client) < 0) {
      log(LogLevel::kError, "transport", "closing the Aeron client: ", take_aeron_words());
      // Its thread may still run on the context, and its callbacks on `images`: leak them rather than fault.
      new std::unordered_map<ImageState*, std::shared_ptr<ImageState>>(std::move(images));
      return;
    }
    if (context != nullptr) aeron_context_close(context);
  }
};

// Whose callback this thread is inside of: there, Aeron's conductor is at work below us and must not be entered again.
inline thread_local const Core* inside_callback_of = nullptr;

class InCallback {
 public:
  explicit InCallback(const Core* core) noexcept : before_(std::exchange(inside_callback_of, core)) {}
  ~InCallback() { inside_callback_of = before_; }
  InCallback(const InCallback&) = delete;
  InCallback& operator=(const InCallback&) = delete;

 private:
  const Core* before_;
};

class PublicationImpl final : public Publication {
 public:
  PublicationImpl(std::shared_ptr<ConnectionImpl> connection, std::unique_ptr<Retired> retired, std::string channel);
  ~PublicationImpl() override;

  std::shared_ptr<ConnectionImpl> connection_;
  std::unique_ptr<Retired> retired_;
  aeron_publication_t* publication_;
  std::string channel_;
  aeron_publication_constants_t constants_{};

  static PublicationImpl& of(Publication& p) noexcept { return static_cast<PublicationImpl&>(p); }
  static const PublicationImpl& of(const Publication& p) noexcept { return static_cast<const PublicationImpl&>(p); }
};

class SubscriptionImpl final : public Subscription {
 public:
  SubscriptionImpl(std::shared_ptr<ConnectionImpl> connection, std::unique_ptr<Retired> retired, std::shared_ptr<ImageState> images,
                   std::string channel, int32_t stream_id);
  ~SubscriptionImpl() override;

  int poll(void (*sink)(void*, Bytes, const MessageInfo&), void* self, int limit) noexcept;

  std::shared_ptr<ConnectionImpl> connection_;
  std::unique_ptr<Retired> retired_;
  std::shared_ptr<ImageState> images_;
  aeron_subscription_t* subscription_;
  aeron_fragment_assembler_t* assembler_ = nullptr;
  std::string channel_;
  int32_t stream_id_;
  // Of the poll under way: Aeron's assembler was given one client pointer for good.
  void (*sink_)(void*, Bytes, const MessageInfo&) = nullptr;
  void* sink_self_ = nullptr;

  static SubscriptionImpl& of(Subscription& s) noexcept { return static_cast<SubscriptionImpl&>(s); }
  static const SubscriptionImpl& of(const Subscription& s) noexcept { return static_cast<const SubscriptionImpl&>(s); }

 private:
  static void on_message(void* clientd, const uint8_t* buffer, size_t length, aeron_header_t* header) noexcept;
  void forget_gone_sessions() noexcept;
};

class ConnectionImpl final : public Connection {
 public:
  explicit ConnectionImpl(const ConnectionOptions& options);
  ~ConnectionImpl() override;

  std::shared_ptr<Publication> add_publication(const std::string& channel, int32_t stream_id);
  std::unique_ptr<PendingPublication> start_publication(const std::string& channel, int32_t stream_id);
  // nullptr: not yet. Takes `async` when it returns a publication or throws.
  std::shared_ptr<Publication> poll_publication(aeron_async_add_publication_t*& async, const std::string& channel,
                                                int32_t stream_id, uint64_t deadline_ns);
  void cancel_publication(aeron_async_add_publication_t* async) noexcept;
  std::shared_ptr<Subscription> add_subscription(const std::string& channel, int32_t stream_id,
                                                 Subscription::ImageHandler on_available,
                                                 Subscription::ImageHandler on_unavailable);
  std::unique_ptr<CounterSet> add_counters(const CounterOwner& owner, std::span<const CounterKind> kinds);
  int poll() noexcept;
  bool alive() const noexcept { return !aeron_is_closed(core_->client); }
  std::string failure() const;
  void retire(std::unique_ptr<Retired> object) noexcept;

  ConnectionOptions options_;
  int64_t client_id_ = 0;
  std::unique_ptr<Core> core_;

  static ConnectionImpl& of(Connection& c) noexcept { return static_cast<ConnectionImpl&>(c); }
  static const ConnectionImpl& of(const Connection& c) noexcept { return static_cast<const ConnectionImpl&>(c); }

 private:
  template <typename Async, typename Object>
  Object* await(Async* async, int (*async_poll)(Object**, Async*), int (*cancel)(aeron_t*, Async*), std::string_view what,
                const std::string& channel, int32_t stream_id);
  void close(Retired& object) noexcept;
  std::unique_ptr<Retired> take_retired() noexcept;
  int work() noexcept;
  bool inside_callback() const noexcept { return inside_callback_of == core_.get(); }
  void refuse_in_handler(std::string_view what) const {
    if (inside_callback())
      throw Error(Code::kInvalidArgument, "add ", what, " in an image handler: do it after Connection::poll()");
  }

  // Invoker mode: held by the one thread that is inside Aeron's conductor.
  std::mutex conductor_mutex_;

  std::mutex retired_mutex_;
  std::unique_ptr<Retired> retired_;  // GUARDED_BY(retired_mutex_)
  std::atomic<bool> any_retired_{false};  // release in retire() pairs with acquire in poll(): seldom true, checked each poll
};

class CounterSetImpl final : public CounterSet {
 public:
  CounterSetImpl(std::shared_ptr<ConnectionImpl> connection, std::unique_ptr<Retired> retired, std::string name);
  ~CounterSetImpl() override;

  void set(size_t index, uint64_t value) noexcept;
  void poll() noexcept;
  bool settled() const noexcept { return pending_ == 0; }

  static CounterSetImpl& of(CounterSet& c) noexcept { return static_cast<CounterSetImpl&>(c); }
  static const CounterSetImpl& of(const CounterSet& c) noexcept { return static_cast<const CounterSetImpl&>(c); }

 private:
  void take_over() noexcept;
  // Values are kept here too: a counter shows the last one as soon as it is there, and one that did not move costs no store.
  struct Slot {
    int64_t* address = nullptr;  // in Aeron's counters file, which stays mapped until the client is closed
    int64_t value = 0;
  };
  std::shared_ptr<ConnectionImpl> connection_;
  std::unique_ptr<Retired> retired_;  // by index: counters[i] or adding[i] or neither (refused)
  std::vector<Slot> slots_;
  size_t pending_;
  bool refusal_logged_ = false;
  std::string name_;
};

// Of the Aeron call that was just refused.
[[noreturn]] void throw_add_error(std::string_view what, const std::string& channel, int32_t stream_id);

}  // namespace tidepool::transport

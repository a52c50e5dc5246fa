#include "tidepool/transport/connection.h"

#include <aeronc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/transport/aeron_words.h"
#include "tidepool/transport/media_driver.h"

// Why Aeron's C API and not its C++ wrapper. The wrapper's destructors close publications on whatever thread lets go of
// them, which in invoker mode changes the conductor's tables under the thread that polls; after a driver time-out they leak
// what they gave to callbacks; and its sends throw. What the C client promises, and what this file rests on (1.54.0):
//
//  - A conductor that finds the driver dead only marks everything closed. Logs, images and counters stay mapped until
//    aeron_close(), so a send() or poll() that is under way on another thread touches nothing that has gone.
//  - aeron_close() frees what was never closed, so whoever keeps the client until last frees everything.
//  - With a conductor thread, closing goes through its queue and is safe anywhere. In invoker mode closing acts at once
//    on the calling thread: hence the list of retired objects that poll() works off.

namespace tidepool::transport {

namespace {

class ConnectionImpl;
struct Core;

// Sessions remembered for a subscription that nobody polls; beyond it their reassembly buffers wait for its end.
constexpr size_t kMaxGone = 4096;

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
thread_local const Core* inside_callback_of = nullptr;

class InCallback {
 public:
  explicit InCallback(const Core* core) noexcept : before_(std::exchange(inside_callback_of, core)) {}
  ~InCallback() { inside_callback_of = before_; }
  InCallback(const InCallback&) = delete;
  InCallback& operator=(const InCallback&) = delete;

 private:
  const Core* before_;
};

SendResult result_of(int64_t position) noexcept {
  if (position >= 0) return SendResult::kOk;
  switch (position) {
    case AERON_PUBLICATION_NOT_CONNECTED: return SendResult::kNotConnected;
    case AERON_PUBLICATION_BACK_PRESSURED: return SendResult::kBackPressured;
    case AERON_PUBLICATION_ADMIN_ACTION: return SendResult::kAdminAction;
    case AERON_PUBLICATION_CLOSED: return SendResult::kClosed;
    case AERON_PUBLICATION_MAX_POSITION_EXCEEDED: return SendResult::kMaxPosition;
    default: return SendResult::kError;
  }
}

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

// ---- Aeron's callbacks ---------------------------------------------------------------------------------------------------

void on_aeron_error(void* clientd, int code, const char* message) noexcept {
  auto& core = *static_cast<Core*>(clientd);
  const std::string text = one_line(message);
  log(LogLevel::kWarn, "aeron", "client error ", code, ": ", text);
  // These end the client; any other is told and gone.
  const bool fatal = code == AERON_CLIENT_ERROR_DRIVER_TIMEOUT || code == AERON_CLIENT_ERROR_CLIENT_TIMEOUT ||
                     code == AERON_CLIENT_ERROR_CONDUCTOR_SERVICE_TIMEOUT ||
                     code == AERON_CLIENT_ERROR_BROADCAST_RECEIVER_ILLEGAL_STATE;
  if (!fatal) return;
  const std::lock_guard lock(core.failure_mutex);
  core.failure = text;
}

int32_t session_of(aeron_image_t* image) noexcept {
  aeron_image_constants_t constants{};
  aeron_image_constants(image, &constants);
  return constants.session_id;
}

void on_image_available(void* clientd, aeron_subscription_t* /*subscription*/, aeron_image_t* image) noexcept {
  auto& state = *static_cast<ImageState*>(clientd);
  const InCallback in(state.core);
  state.count.fetch_add(1, std::memory_order_relaxed);
  bool over = false;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.armed) return;
    state.call(state.on_available, session_of(image));
    over = !state.armed;
  }
  if (over) state.disarm();
}

void on_image_unavailable(void* clientd, aeron_subscription_t* /*subscription*/, aeron_image_t* image) noexcept {
  auto& state = *static_cast<ImageState*>(clientd);
  const InCallback in(state.core);
  state.count.fetch_sub(1, std::memory_order_relaxed);
  bool over = false;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.armed) return;
    const int32_t session_id = session_of(image);
    if (state.gone.size() < kMaxGone) state.gone.push_back(session_id);
    state.any_gone.store(true, std::memory_order_relaxed);
    state.call(state.on_unavailable, session_id);
    over = !state.armed;
  }
  if (over) state.disarm();
}

void on_subscription_closed(void* clientd) noexcept {
  auto* state = static_cast<ImageState*>(clientd);
  const InCallback in(state->core);
  state->core->forget(state);
}

// ---- errors --------------------------------------------------------------------------------------------------------------

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string hint_for(std::string_view words) {
  if (has(words, "term-length") || has(words, "mtu") || has(words, "term-id") || has(words, "sparse")) {
    return " (somebody already uses this channel and stream id with other parameters: use the same channel text everywhere)";
  }
  if (has(words, "storage") || has(words, "space")) return " (a log takes three times its term-length: free memory or shorten it)";
  if (has(words, "in use")) return " (another process has this port: choose another endpoint)";
  if (has(words, "resolve") || has(words, "unknown host")) return " (check the host name in endpoint= or interface=)";
  if (has(words, "endpoint") || has(words, "control")) return " (a UDP channel needs endpoint=HOST:PORT or control=HOST:PORT)";
  if (has(words, "URI") || has(words, "channel") || has(words, "param")) {
    return " (a channel looks like aeron:ipc?term-length=4m or aeron:udp?endpoint=HOST:PORT)";
  }
  return {};
}

[[noreturn]] void throw_add_error(std::string_view what, const std::string& channel, int32_t stream_id) {
  const int number = aeron_error_number();
  const std::string words = take_aeron_words();
  Code code = Code::kInvalidArgument;
  if (number == -12 || number == ENOSPC || has(words, "storage")) {  // AERON_ERROR_CODE_STORAGE_SPACE
    code = Code::kNoSpace;
  } else if (number <= -AERON_CLIENT_ERROR_DRIVER_TIMEOUT || has(words, "in use") || has(words, "resolve") ||
             has(words, "unknown host")) {
    code = Code::kUnavailable;
  }
  throw Error(code, "add ", what, " ", printable(channel), " stream ", stream_id, ": ", words.empty() ? "refused" : words,
              hint_for(words));
}

// ---- Connection ----------------------------------------------------------------------------------------------------------

ConnectionImpl::ConnectionImpl(const ConnectionOptions& options) : options_(options), core_(std::make_unique<Core>()) {
  route_aeron_prints_to_log();
  if (options_.aeron_dir.empty()) options_.aeron_dir = default_aeron_dir();
  const std::string& dir = options_.aeron_dir;
  if (options_.driver_timeout_ms == 0) throw Error(Code::kInvalidArgument, "driver_timeout_ms is 0: expected at least 1");

  // Aeron would wait for the whole driver time-out, or for ever, for a file that is not there: so look first.
  const MediaDriverStatus status = media_driver_status(dir, options_.driver_timeout_ms);
  const auto advice = [&dir] {
    return concat(": start one with `tidepool media-driver --aeron-dir ", dir, "`, or use --embedded");
  };
  if (!status.alive) throw Error(Code::kUnavailable, "no media driver in ", dir, ": ", status.problem, advice());
  // A heartbeat may be young enough though its driver was killed a moment ago. A missing pid proves nothing by itself (it may
  // live in another PID namespace), but together with two seconds of silence it does: a driver beats once a second or faster.
  if (status.heartbeat_age_ms > 2'000 && !process_exists(status.pid)) {
    throw Error(Code::kUnavailable, "the media driver in ", dir, " is dead (pid ", status.pid, " is gone, last heartbeat ",
                status.heartbeat_age_ms, " ms ago)", advice());
  }

  if (const std::string cnc = dir + "/cnc.dat"; ::access(cnc.c_str(), R_OK | W_OK) != 0) {
    throw Error(code_of_errno(errno), "open ", cnc, errno_text(), ": the media driver there belongs to another user");
  }

  Core& core = *core_;
  core.invoker = options_.invoker;
  const auto check = [&](int result, std::string_view doing) {
    if (result < 0) throw Error(Code::kInvalidArgument, "Aeron client in ", dir, ": ", doing, ": ", take_aeron_words());
  };
  check(aeron_context_init(&core.context), "context");
  check(aeron_context_set_dir(core.context, dir.c_str()), "directory");
  // Must be set before anything else can fail: Aeron's own handler ends the process.
  check(aeron_context_set_error_handler(core.context, &on_aeron_error, &core), "error handler");
  check(aeron_context_set_driver_timeout_ms(core.context, options_.driver_timeout_ms), "driver_timeout_ms");
  // Aeron beats and looks at the driver once in this interval: often enough for both sides' time-outs.
  const uint64_t shortest_ms = std::min(options_.driver_timeout_ms, std::max<uint64_t>(status.client_liveness_ms, 1));
  const uint64_t interval_ns = std::clamp<uint64_t>(shortest_ms * kNsPerMs / 5, kNsPerMs, 500 * kNsPerMs);
  check(aeron_context_set_keepalive_interval_ns(core.context, interval_ns), "keepalive interval");
  check(aeron_context_set_idle_sleep_duration_ns(core.context, std::min<uint64_t>(16 * kNsPerMs, interval_ns)), "idle sleep");
  check(aeron_context_set_use_conductor_agent_invoker(core.context, options_.invoker), "invoker");
  if (!options_.client_name.empty())
    check(aeron_context_set_client_name(core.context, options_.client_name.c_str()), "client_name");

  if (aeron_init(&core.client, core.context) < 0) {
    core.client = nullptr;
    throw Error(Code::kUnavailable, "connect to the media driver in ", dir, ": ", take_aeron_words());
  }
  if (aeron_start(core.client) < 0) throw Error(Code::kInternal, "start the Aeron client in ", dir, ": ", take_aeron_words());
  client_id_ = aeron_client_id(core.client);
}

ConnectionImpl::~ConnectionImpl() {
  // The last reference may go on Aeron's own thread (an image handler held it), which cannot join itself.
  if (!core_->invoker && inside_callback()) {
    try {
      std::thread([core = std::move(core_)]() mutable { core.reset(); }).detach();
    } catch (const std::exception& e) {
      log(LogLevel::kError, "transport", "no thread to close the Aeron client: ", e.what());
    }
  }
}

int ConnectionImpl::work() noexcept {
  // Aeron answers -1 once it is closed: that is alive()'s story, not work.
  const int result = aeron_main_do_work(core_->client);
  if (result < 0) {
    take_aeron_words();
    return 0;
  }
  return result;
}

int ConnectionImpl::poll() noexcept {
  if (!core_->invoker || inside_callback()) return 0;
  const auto keep = weak_from_this().lock();  // a handler may let go of the last reference
  const std::unique_lock lock(conductor_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return 0;  // another thread is at it
  int done = 0;
  if (any_retired_.load(std::memory_order_acquire)) {
    for (auto object = take_retired(); object != nullptr; object = std::move(object->next)) {
      close(*object);
      ++done;
    }
  }
  return done + work();
}

std::unique_ptr<Retired> ConnectionImpl::take_retired() noexcept {
  const std::lock_guard lock(retired_mutex_);
  any_retired_.store(false, std::memory_order_relaxed);
  return std::move(retired_);
}

void ConnectionImpl::retire(std::unique_ptr<Retired> object) noexcept {
  if (!core_->invoker) {
    close(*object);
    return;
  }
  const std::lock_guard lock(retired_mutex_);
  object->next = std::move(retired_);
  retired_ = std::move(object);
  any_retired_.store(true, std::memory_order_release);
}

void ConnectionImpl::close(Retired& object) noexcept {
  // After a driver time-out these do nothing: the objects are marked closed and go with the client.
  if (object.publication != nullptr && aeron_publication_close(object.publication, nullptr, nullptr) < 0) take_aeron_words();
  if (object.subscription != nullptr && aeron_subscription_close(object.subscription, &on_subscription_closed, object.images) < 0) {
    take_aeron_words();
  }
  for (aeron_counter_t* counter : object.counters) {
    if (counter != nullptr && aeron_counter_close(counter, nullptr, nullptr) < 0) take_aeron_words();
  }
  for (aeron_async_add_counter_t* adding : object.adding) {
    if (adding == nullptr) continue;
    aeron_counter_t* counter = nullptr;
    const int result = aeron_async_add_counter_poll(&counter, adding);  // it may have come meanwhile
    const bool failed = result > 0   ? aeron_counter_close(counter, nullptr, nullptr) < 0
                        : result < 0 ? true
                                     : aeron_async_add_counter_cancel(core_->client, adding) < 0;
    if (failed) take_aeron_words();
  }
}

std::string ConnectionImpl::failure() const {
  if (alive()) return {};
  // Aeron marks itself closed first and gives the reason after, on the thread that found it.
  for (const uint64_t deadline_ns = monotonic_ns() + kNsPerSecond; monotonic_ns() < deadline_ns; std::this_thread::yield()) {
    const std::lock_guard lock(core_->failure_mutex);
    if (!core_->failure.empty()) return core_->failure;
  }
  return "the Aeron client is closed";
}

template <typename Async, typename Object>
Object* ConnectionImpl::await(Async* async, int (*async_poll)(Object**, Async*), int (*cancel)(aeron_t*, Async*),
                              std::string_view what, const std::string& channel, int32_t stream_id) {
  const uint64_t deadline_ns = monotonic_ns() + options_.add_timeout_ms * kNsPerMs;
  for (;;) {
    if (core_->invoker) work();
    Object* object = nullptr;
    const int result = async_poll(&object, async);
    if (result > 0) return object;
    if (result < 0) throw_add_error(what, channel, stream_id);  // Aeron has freed `async`
    if (!alive()) {
      throw Error(Code::kUnavailable, "add ", what, " ", printable(channel), " stream ", stream_id, ": the media driver in ",
                  options_.aeron_dir, " is gone: ", failure());
    }
    if (monotonic_ns() > deadline_ns) {
      if (cancel(core_->client, async) < 0) take_aeron_words();
      throw Error(Code::kTimeout, "add ", what, " ", printable(channel), " stream ", stream_id,
                  ": no answer from the media driver in ", options_.aeron_dir, " within ", options_.add_timeout_ms,
                  " ms: is it stopped or overloaded?");
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

std::shared_ptr<Publication> ConnectionImpl::add_publication(const std::string& channel, int32_t stream_id) {
  refuse_in_handler("publication");
  auto self = std::static_pointer_cast<ConnectionImpl>(shared_from_this());
  const std::lock_guard in_conductor(conductor_mutex_);
  auto retired = std::make_unique<Retired>();
  aeron_async_add_publication_t* async = nullptr;
  if (aeron_async_add_publication(&async, core_->client, channel.c_str(), stream_id) < 0) {
    throw_add_error("publication", channel, stream_id);
  }
  retired->publication =
      await(async, &aeron_async_add_publication_poll, &aeron_async_add_publication_cancel, "publication", channel, stream_id);
  return std::make_shared<PublicationImpl>(std::move(self), std::move(retired), channel);
}

// ---- PendingPublication --------------------------------------------------------------------------------------------------

class PendingPublicationImpl final : public PendingPublication {
 public:
  PendingPublicationImpl(std::shared_ptr<ConnectionImpl> connection, aeron_async_add_publication_t* async, std::string channel,
                         int32_t stream_id, uint64_t deadline_ns)
      : connection_(std::move(connection)),
        async_(async),
        channel_(std::move(channel)),
        stream_id_(stream_id),
        deadline_ns_(deadline_ns) {}
  ~PendingPublicationImpl() override {
    if (async_ != nullptr) connection_->cancel_publication(async_);
  }

  std::shared_ptr<ConnectionImpl> connection_;
  aeron_async_add_publication_t* async_;  // nullptr: spent
  std::string channel_;
  int32_t stream_id_;
  uint64_t deadline_ns_;

  static PendingPublicationImpl& of(PendingPublication& p) noexcept { return static_cast<PendingPublicationImpl&>(p); }
};

std::unique_ptr<PendingPublication> ConnectionImpl::start_publication(const std::string& channel, int32_t stream_id) {
  refuse_in_handler("publication");
  auto self = std::static_pointer_cast<ConnectionImpl>(shared_from_this());
  const std::lock_guard in_conductor(conductor_mutex_);
  aeron_async_add_publication_t* async = nullptr;
  if (aeron_async_add_publication(&async, core_->client, channel.c_str(), stream_id) < 0) {
    throw_add_error("publication", channel, stream_id);
  }
  return std::make_unique<PendingPublicationImpl>(std::move(self), async, channel, stream_id,
                                                  monotonic_ns() + options_.add_timeout_ms * kNsPerMs);
}

std::shared_ptr<Publication> ConnectionImpl::poll_publication(aeron_async_add_publication_t*& async, const std::string& channel,
                                                              int32_t stream_id, uint64_t deadline_ns) {
  refuse_in_handler("publication");
  const std::lock_guard in_conductor(conductor_mutex_);
  if (!alive()) {
    async = nullptr;  // gone with its client
    throw Error(Code::kUnavailable, "add publication ", printable(channel), " stream ", stream_id, ": the media driver in ",
                options_.aeron_dir, " is gone: ", failure());
  }
  auto retired = std::make_unique<Retired>();
  const int result = aeron_async_add_publication_poll(&retired->publication, async);
  if (result > 0) {
    async = nullptr;
    return std::make_shared<PublicationImpl>(std::static_pointer_cast<ConnectionImpl>(shared_from_this()), std::move(retired),
                                             channel);
  }
  if (result < 0) {
    async = nullptr;  // Aeron has freed it
    throw_add_error("publication", channel, stream_id);
  }
  if (monotonic_ns() <= deadline_ns) return nullptr;
  if (aeron_async_add_publication_cancel(core_->client, std::exchange(async, nullptr)) < 0) take_aeron_words();
  throw Error(Code::kTimeout, "add publication ", printable(channel), " stream ", stream_id,
              ": no answer from the media driver in ", options_.aeron_dir, " within ", options_.add_timeout_ms,
              " ms: is it stopped or overloaded?");
}

void ConnectionImpl::cancel_publication(aeron_async_add_publication_t* async) noexcept {
  const std::lock_guard in_conductor(conductor_mutex_);
  if (alive() && aeron_async_add_publication_cancel(core_->client, async) < 0) take_aeron_words();
}

std::shared_ptr<Subscription> ConnectionImpl::add_subscription(const std::string& channel, int32_t stream_id,
                                                               Subscription::ImageHandler on_available,
                                                               Subscription::ImageHandler on_unavailable) {
  refuse_in_handler("subscription");
  auto self = std::static_pointer_cast<ConnectionImpl>(shared_from_this());
  const std::lock_guard in_conductor(conductor_mutex_);
  auto retired = std::make_unique<Retired>();
  auto images = std::make_shared<ImageState>();
  images->core = core_.get();
  images->on_available = std::move(on_available);
  images->on_unavailable = std::move(on_unavailable);
  retired->images = images.get();
  {
    const std::lock_guard lock(core_->images_mutex);
    core_->images.emplace(images.get(), images);
  }
  try {
    aeron_async_add_subscription_t* async = nullptr;
    if (aeron_async_add_subscription(&async, core_->client, channel.c_str(), stream_id, &on_image_available, images.get(),
                                     &on_image_unavailable, images.get()) < 0) {
      throw_add_error("subscription", channel, stream_id);
    }
    retired->subscription =
        await(async, &aeron_async_add_subscription_poll, &aeron_async_add_subscription_cancel, "subscription", channel, stream_id);
  } catch (const Error& e) {
    // Refused: Aeron never made it. Otherwise (no answer, driver gone) it may still come, with a pointer to `images`.
    images->disarm();
    if (e.code() != Code::kTimeout && alive()) core_->forget(images.get());
    throw;
  }
  return std::make_shared<SubscriptionImpl>(std::move(self), std::move(retired), std::move(images), channel, stream_id);
}

std::unique_ptr<CounterSet> ConnectionImpl::add_counters(const CounterOwner& owner, std::span<const CounterKind> kinds) {
  refuse_in_handler("counters");
  auto self = std::static_pointer_cast<ConnectionImpl>(shared_from_this());
  const std::lock_guard in_conductor(conductor_mutex_);
  auto retired = std::make_unique<Retired>();
  retired->counters.resize(kinds.size());
  retired->adding.resize(kinds.size());
  const std::vector<std::byte> key = counter_key(owner);
  std::string failure;
  for (size_t i = 0; i < kinds.size() && failure.empty(); ++i) {
    const std::string label = counter_label(owner, kinds[i].label);
    if (aeron_async_add_counter(&retired->adding[i], core_->client, counter_type_id(owner.owner_id, kinds[i].type),
                                reinterpret_cast<const uint8_t*>(key.data()), key.size(), label.c_str(), label.size()) < 0) {
      retired->adding[i] = nullptr;
      failure = take_aeron_words();
      if (failure.empty()) failure = "refused";
    }
  }
  if (!failure.empty()) {
    // Under the mutex that retire() would wait for in poll(): what was asked for is closed with the others.
    close(*retired);
    throw Error(Code::kUnavailable, "add counters of ", printable(owner.name), ": ", failure);
  }
  return std::make_unique<CounterSetImpl>(std::move(self), std::move(retired), owner.name);
}

// ---- Publication ---------------------------------------------------------------------------------------------------------

PublicationImpl::PublicationImpl(std::shared_ptr<ConnectionImpl> connection, std::unique_ptr<Retired> retired, std::string channel)
    : connection_(std::move(connection)),
      retired_(std::move(retired)),
      publication_(retired_->publication),
      channel_(std::move(channel)) {
  aeron_publication_constants(publication_, &constants_);
}

PublicationImpl::~PublicationImpl() { connection_->retire(std::move(retired_)); }

// ---- Counters -----------------------------------------------------------------------------------------------------------

CounterSetImpl::CounterSetImpl(std::shared_ptr<ConnectionImpl> connection, std::unique_ptr<Retired> retired, std::string name)
    : connection_(std::move(connection)),
      retired_(std::move(retired)),
      slots_(retired_->adding.size()),
      pending_(slots_.size()),
      name_(std::move(name)) {}

CounterSetImpl::~CounterSetImpl() {
  take_over();  // what has come and was not looked at would be nobody's
  connection_->retire(std::move(retired_));
}

void CounterSetImpl::poll() noexcept {
  if (pending_ != 0 && connection_->alive()) take_over();
}

void CounterSetImpl::take_over() noexcept {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (retired_->adding[i] == nullptr) continue;
    aeron_counter_t* counter = nullptr;
    const int result = aeron_async_add_counter_poll(&counter, retired_->adding[i]);
    if (result == 0) continue;
    retired_->adding[i] = nullptr;  // Aeron has freed it
    --pending_;
    if (result > 0) {
      retired_->counters[i] = counter;
      slots_[i].address = aeron_counter_addr(counter);
      // relaxed: a number for people, no data with it
      std::atomic_ref<int64_t>(*slots_[i].address).store(slots_[i].value, std::memory_order_relaxed);
      continue;
    }
    const std::string words = take_aeron_words();
    if (std::exchange(refusal_logged_, true)) continue;
    log(LogLevel::kWarn, "transport", "no counters for ", printable(name_), ": ", words);
  }
}

void CounterSetImpl::set(size_t index, uint64_t value) noexcept {
  if (index >= slots_.size()) return;
  Slot& slot = slots_[index];
  const auto as_signed = static_cast<int64_t>(value);
  if (slot.value == as_signed) return;
  slot.value = as_signed;
  // A media driver that gave us up hands the place to somebody else, but not before its reuse time-out: we know by then.
  if (slot.address == nullptr || !connection_->alive()) return;
  std::atomic_ref<int64_t>(*slot.address).store(as_signed, std::memory_order_relaxed);  // relaxed: as above
}

// ---- Subscription --------------------------------------------------------------------------------------------------------

SubscriptionImpl::SubscriptionImpl(std::shared_ptr<ConnectionImpl> connection, std::unique_ptr<Retired> retired,
                                   std::shared_ptr<ImageState> images, std::string channel, int32_t stream_id)
    : connection_(std::move(connection)),
      retired_(std::move(retired)),
      images_(std::move(images)),
      subscription_(retired_->subscription),
      channel_(std::move(channel)),
      stream_id_(stream_id) {
  if (aeron_fragment_assembler_create(&assembler_, &on_message, this) < 0) {
    const std::string words = take_aeron_words();
    connection_->retire(std::move(retired_));
    throw Error(Code::kInternal, "fragment assembler for ", printable(channel_), " stream ", stream_id_, ": ", words);
  }
}

SubscriptionImpl::~SubscriptionImpl() {
  images_->disarm();  // waits for a handler that is running on Aeron's thread: none runs once we return
  connection_->retire(std::move(retired_));
  aeron_fragment_assembler_delete(assembler_);
}

void SubscriptionImpl::on_message(void* clientd, const uint8_t* buffer, size_t length, aeron_header_t* header) noexcept {
  auto& self = *static_cast<SubscriptionImpl*>(clientd);
  aeron_header_values_t values{};
  aeron_header_values(header, &values);
  const MessageInfo info{values.frame.session_id, aeron_header_position(header)};
  self.sink_(self.sink_self_, Bytes(reinterpret_cast<const std::byte*>(buffer), length), info);
}

int SubscriptionImpl::poll(void (*sink)(void*, Bytes, const MessageInfo&), void* self, int limit) noexcept {
  if (limit <= 0 || sink_ != nullptr) return 0;  // a sink that polls its own subscription gets nothing
  if (images_->any_gone.load(std::memory_order_relaxed)) forget_gone_sessions();
  sink_ = sink;
  sink_self_ = self;
  const int taken =
      aeron_subscription_poll(subscription_, &aeron_fragment_assembler_handler, assembler_, static_cast<size_t>(limit));
  sink_ = nullptr;
  return std::max(taken, 0);
}

void SubscriptionImpl::forget_gone_sessions() noexcept {
  const std::lock_guard lock(images_->mutex);
  images_->any_gone.store(false, std::memory_order_relaxed);
  for (const int32_t session_id : images_->gone) aeron_fragment_assembler_delete_session_buffer(assembler_, session_id);
  images_->gone.clear();
}

}  // namespace

// ---- the headers' calls, on the one class there is of each ---------------------------------------------------------------

std::string_view name_of(SendResult result) noexcept {
  switch (result) {
    case SendResult::kOk: return "ok";
    case SendResult::kNotConnected: return "not connected";
    case SendResult::kBackPressured: return "back pressured";
    case SendResult::kAdminAction: return "admin action";
    case SendResult::kClosed: return "closed";
    case SendResult::kMaxPosition: return "max position exceeded";
    case SendResult::kTooLong: return "too long";
    case SendResult::kError: return "error";
  }
  return "unknown";
}

Publication::~Publication() = default;
PendingPublication::~PendingPublication() = default;
std::shared_ptr<Publication> PendingPublication::poll() {
  PendingPublicationImpl& self = PendingPublicationImpl::of(*this);
  if (self.async_ == nullptr) return nullptr;
  return self.connection_->poll_publication(self.async_, self.channel_, self.stream_id_, self.deadline_ns_);
}
Subscription::~Subscription() = default;
Connection::~Connection() = default;
CounterSet::~CounterSet() = default;

void CounterSet::set(size_t index, uint64_t value) noexcept { CounterSetImpl::of(*this).set(index, value); }
void CounterSet::poll() noexcept { CounterSetImpl::of(*this).poll(); }
bool CounterSet::settled() const noexcept { return CounterSetImpl::of(*this).settled(); }

SendResult Publication::send(Bytes message) noexcept {
  const PublicationImpl& self = PublicationImpl::of(*this);
  if (message.size() > self.constants_.max_message_length) return SendResult::kTooLong;
  static constexpr uint8_t kNothing = 0;  // Aeron refuses a null pointer, even for no bytes
  const auto* data = message.empty() ? &kNothing : reinterpret_cast<const uint8_t*>(message.data());
  return result_of(aeron_publication_offer(self.publication_, data, message.size(), nullptr, nullptr));
}

SendResult Publication::reserve(size_t bytes, Reserved& reserved) noexcept {
  const PublicationImpl& self = PublicationImpl::of(*this);
  if (bytes > self.constants_.max_payload_length) return SendResult::kTooLong;
  aeron_buffer_claim_t claim{};
  const SendResult result = result_of(aeron_publication_try_claim(self.publication_, bytes, &claim));
  if (result == SendResult::kOk) {
    reserved.bytes = MutableBytes(reinterpret_cast<std::byte*>(claim.data), claim.length);
    reserved.frame = reinterpret_cast<std::byte*>(claim.frame_header);
  }
  return result;
}

void Publication::commit(const Reserved& reserved) noexcept {
  aeron_buffer_claim_t claim{};
  claim.frame_header = reinterpret_cast<uint8_t*>(reserved.frame);
  claim.data = reinterpret_cast<uint8_t*>(reserved.bytes.data());
  claim.length = reserved.bytes.size();
  aeron_buffer_claim_commit(&claim);
}

size_t Publication::max_payload_bytes() const noexcept { return PublicationImpl::of(*this).constants_.max_payload_length; }
size_t Publication::max_message_bytes() const noexcept { return PublicationImpl::of(*this).constants_.max_message_length; }
bool Publication::connected() const noexcept { return aeron_publication_is_connected(PublicationImpl::of(*this).publication_); }
bool Publication::closed() const noexcept { return aeron_publication_is_closed(PublicationImpl::of(*this).publication_); }
const std::string& Publication::channel() const noexcept { return PublicationImpl::of(*this).channel_; }
int32_t Publication::stream_id() const noexcept { return PublicationImpl::of(*this).constants_.stream_id; }
int32_t Publication::session_id() const noexcept { return PublicationImpl::of(*this).constants_.session_id; }
int64_t Publication::position() const noexcept {
  const int64_t position = aeron_publication_position(PublicationImpl::of(*this).publication_);
  return position < 0 ? 0 : position;  // closed
}

int Subscription::poll_raw(RawSink sink, void* self, int limit) noexcept {
  return SubscriptionImpl::of(*this).poll(sink, self, limit);
}
bool Subscription::connected() const noexcept { return !closed() && image_count() > 0; }
bool Subscription::closed() const noexcept { return aeron_subscription_is_closed(SubscriptionImpl::of(*this).subscription_); }
int Subscription::image_count() const noexcept {
  // Not Aeron's own count: asking for it is part of its protocol with the polling thread.
  return SubscriptionImpl::of(*this).images_->count.load(std::memory_order_relaxed);
}
const std::string& Subscription::channel() const noexcept { return SubscriptionImpl::of(*this).channel_; }
int32_t Subscription::stream_id() const noexcept { return SubscriptionImpl::of(*this).stream_id_; }

std::shared_ptr<Connection> Connection::open(const ConnectionOptions& options) { return std::make_shared<ConnectionImpl>(options); }

std::shared_ptr<Publication> Connection::add_publication(const std::string& channel, int32_t stream_id) {
  return ConnectionImpl::of(*this).add_publication(channel, stream_id);
}
std::unique_ptr<PendingPublication> Connection::start_publication(const std::string& channel, int32_t stream_id) {
  return ConnectionImpl::of(*this).start_publication(channel, stream_id);
}
std::shared_ptr<Subscription> Connection::add_subscription(const std::string& channel, int32_t stream_id,
                                                           Subscription::ImageHandler on_available,
                                                           Subscription::ImageHandler on_unavailable) {
  return ConnectionImpl::of(*this).add_subscription(channel, stream_id, std::move(on_available), std::move(on_unavailable));
}
std::unique_ptr<CounterSet> Connection::add_counters(const CounterOwner& owner, std::span<const CounterKind> kinds) {
  return ConnectionImpl::of(*this).add_counters(owner, kinds);
}
int Connection::poll() noexcept { return ConnectionImpl::of(*this).poll(); }
bool Connection::alive() const noexcept { return ConnectionImpl::of(*this).alive(); }
std::string Connection::failure() const { return ConnectionImpl::of(*this).failure(); }
const std::string& Connection::aeron_dir() const noexcept { return ConnectionImpl::of(*this).options_.aeron_dir; }
int64_t Connection::client_id() const noexcept { return ConnectionImpl::of(*this).client_id_; }

std::string with_parameter(const std::string& channel, const std::string& key, const std::string& value) {
  const size_t question = channel.find('?');
  if (question == std::string::npos) return concat(channel, "?", key, "=", value);
  for (size_t at = question + 1; at <= channel.size();) {
    const size_t end = std::min(channel.find('|', at), channel.size());
    if (std::string_view(channel).substr(at, end - at).starts_with(key + "=")) return channel;
    at = end + 1;
  }
  const bool ends_open = channel.back() == '?' || channel.back() == '|';
  return concat(channel, ends_open ? "" : "|", key, "=", value);
}

}  // namespace tidepool::transport

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
#include "tidepool/transport/connection_impl.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::transport {
namespace {

// Sessions remembered for a subscription that nobody polls; beyond it their reassembly buffers wait for its end.
constexpr size_t kMaxGone = 4096;

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

}  // namespace

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

// ---- the header's calls ----------------------------------------------------------------------------------------------------

Connection::~Connection() = default;
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
  const bool ends_open = question == channel.size() - 1 || channel.back() == '|';  // a value may end in '?'
  return concat(channel, ends_open ? "" : "|", key, "=", value);
}

}  // namespace tidepool::transport

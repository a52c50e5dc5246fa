#pragma once
// Connect, produce, consume. This is the header that programs include (as <tidepool/client.h>).
//
//   auto client = tidepool::Client::connect();
//   auto camera = client.producer({.stream = "10000"});
//   if (auto claim = camera.claim({.shape = {480, 640}, .dtype = tidepool::DType::u16})) {
//     sdk.read_into(claim->bytes());
//     camera.commit(*claim);
//   }
//
// Threads (rulings P-5): connect() starts one conductor thread that keeps leases, follows announces and reconnects; with
// ClientOptions::invoker the application calls Client::poll() instead, often. A Producer or Consumer is used by one
// thread at a time; different ones by different threads. counters() and state() from any thread.
// Lifetime: producers and consumers keep the client's insides; any order of destruction is fine.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/client/progress_view.h"
#include "tidepool/client/metadata.h"
#include "tidepool/client/qos.h"
#include "tidepool/pool/frame_view.h"
#include "tidepool/pool/pool_reader.h"
#include "tidepool/pool/pool_writer.h"
#include "tidepool/shm/region.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {

// A channel and an Aeron stream id.
struct Endpoint {
  std::string channel = {};
  int32_t stream_id = 0;
  bool operator==(const Endpoint&) const = default;
};

inline constexpr int32_t kDiscoveryOff = -1;  // as the stream id of ClientOptions::discovery: names are not asked for there

struct ClientOptions {
  std::string aeron_dir = {};  // empty: CLIENT_AERON_DIR, AERON_DIR, then Aeron's default
  // Planes; an empty channel or id 0 takes the environment (CLIENT_CONTROL_CHANNEL, ...; config.md 7.1), then the default.
  Endpoint control = {};     // aeron:ipc?term-length=4m, 1000
  Endpoint announce = {};    // control's
  Endpoint descriptor = {};  // control's channel, 1100
  Endpoint qos = {};         // control's channel, 1200
  Endpoint metadata = {};    // control's channel, 1300
  // Where streams are asked for by name (rulings P-11) and where answers come to.
  Endpoint discovery = {};           // aeron:ipc?term-length=1m (over UDP: control's channel), 7000
  Endpoint discovery_response = {};  // discovery's channel (over UDP: none, it must be given), 7004
  std::optional<uint32_t> discovery_timeout_ms = {};         // 5000
  std::optional<uint32_t> discovery_retry_interval_ms = {};  // 1000
  std::optional<uint32_t> attach_timeout_ms = {};             // 5000; also for the media driver to appear
  std::optional<uint32_t> attach_retry_interval_ms = {};      // 1000: resend while waiting
  std::optional<uint32_t> keepalive_interval_ms = {};         // 1000
  std::optional<uint32_t> lease_expiry_grace_intervals = {};  // 3: only if the response had no usable expiry
  std::optional<uint32_t> reattach_backoff_min_ms = {};       // 100
  std::optional<uint32_t> reattach_backoff_max_ms = {};       // 3200
  std::optional<uint32_t> announce_period_ms = {};            // 1000: freshness is 3 of it, driver loss 5
  std::optional<uint32_t> media_driver_timeout_ms;  // 10000: silent for this long: dead; reconnect when a new one is there
  bool wait = false;                          // connect and attach for ever (--wait) instead of attach_timeout_ms
  // Asked now and then while connect(), producer() and consumer() wait: false makes them throw Error kTimeout soon (a signal
  // came). Empty: never.
  std::function<bool()> keep_waiting = {};
  bool invoker = false;                       // the application calls Client::poll()
  // What may be mapped (config.md 7.1). Fields left at their default take the environment (CLIENT_ALLOWED_BASE_DIRS,
  // colon-separated, ...).
  shm::MapPolicy::Options map_policy = {};
  std::string name = {};                      // shows in Aeron's tools
};

// Where a producer or consumer stands with its driver.
enum class State : uint8_t {
  kConnecting,  // no media driver, or none yet
  kAttaching,   // asking the driver
  kAttached,    // lease held, regions mapped
  kBackoff,     // lost or refused: waits, then asks again by itself
  kClosed,
  kRemapping,   // lease held, a consumer waits for the next epoch's announce
  kFallback,    // lease held, nothing mapped: a consumer's payload is at StateChange::fallback_uri (W-77)
  kUnreachable, // lease held, shared memory is forbidden and no fallback is known: status_text() says what is missing
};
std::string_view name_of(State state) noexcept;

struct StateChange {
  State state = State::kConnecting;
  uint32_t stream_id = 0;
  uint64_t epoch = 0;       // mapped epoch, 0 if none
  std::string why = {};     // a sentence
  std::string fallback_uri = {};  // kFallback: aeron:... or bridge://ID
};
// Called on the conductor's thread; must not block or call back into the client.
using StateHandler = std::function<void(const StateChange&)>;

// A frame's shape as the producer states it. values_len_bytes: default the tensor's extent.
struct Tensor {
  std::vector<int32_t> shape = {};
  wire::DType dtype = wire::DType::u8;
  wire::MajorOrder order = wire::MajorOrder::row;
};

// The pools of a producer that runs without a tensor-pool driver: it makes the files, owns the epoch and announces it
// (docs/protocols/client.md).
struct OwnPools {
  uint32_t slot_count = 64;  // power of two; of the header ring and of every pool
  std::vector<pool::PoolClass> pools = {pool::PoolClass{}};  // one of 1 MiB slots
  std::string base_dir = "/dev/shm";
  std::string name_space = "default";  // a driver may not hold it
  mode_t permissions_mode = 0660;
  bool prefault = true;  // reserve and touch every page before anybody is told
  bool hugepages = false;  // base_dir is on hugetlbfs
  uint32_t epochs_kept = 2;  // after a crash: newest epochs of the stream that are left alone (W-67)
  bool cleanup_on_exit = true;  // remove the epoch when the producer ends in order
};

// Which clock announces and frames are stamped with (wire.md 15).
enum class ClockDomain : uint8_t {
  kMonotonic,  // CLOCK_MONOTONIC: comparable on this host
  kRealtimeSynced,  // CLOCK_REALTIME: comparable between hosts; refused while this host's is not disciplined (W-91)
};

// Which streams are opened for one consumer alone, when somebody else names them (W-70, W-71). The same rules hold for what a
// producer publishes on and what a consumer subscribes to; max_streams is the producer's.
struct ConsumerStreamPolicy {
  bool allow_udp = false;                        // aeron:udp too: whoever asks then says where packets go
  int32_t min_stream_id = 1;
  int32_t max_stream_id = 0x7FFFFFFF;
  uint64_t max_term_length_bytes = 64u << 20;    // a request shall not fill /dev/shm
  uint32_t max_streams = 64;                     // descriptor and control streams of all consumers together; 0: none
};

// Fields left at their default take the environment: PRODUCER_STREAM_ID, PRODUCER_PUBLISH_MODE, ... (config.md 7.2).
struct ProducerOptions {
  std::string stream = "10000";  // a number, or a name (rulings P-11: announced data-source names, then discovery)
  uint32_t client_id = 0;                  // 0: random; also the producer id (D-66)
  wire::PublishMode publish_mode = wire::PublishMode::existing_or_create;
  wire::HugepagesPolicy hugepages = wire::HugepagesPolicy::unspecified;
  std::optional<uint32_t> desired_node_id = {};
  std::string name = {};                   // data source name and summary announced with the metadata
  std::string summary = {};
  std::vector<wire::Attribute> attributes = {};  // see DataSource
  std::vector<std::shared_ptr<const Blob>> blobs = {};
  uint32_t blob_repeat_ms = 10'000;  // blobs are sent again so often, for latecomers; 0: once
  // Without a driver: the stream's number must be given, and nobody else may produce it. Empty: a driver gives the pools.
  std::optional<OwnPools> own_pools = {};
  ClockDomain clock_domain = ClockDomain::kMonotonic;  // other than monotonic with own_pools only: else the driver announces
  uint32_t clock_error_budget_us = 100'000;  // kRealtimeSynced: the largest error that counts as disciplined
  bool send_descriptors = true;            // false: ring followers only
  bool descriptor_timestamps = false;      // fill FrameDescriptor.timestampNs (W-54)
  std::optional<uint32_t> expected_layout_version = {};  // 1; 0: any
  std::optional<uint32_t> announce_interval_ms = {};     // the client's announce_period_ms: activity refresh, metadata (W-62)
  std::optional<uint32_t> qos_interval_ms = {};          // 1000
  StateHandler on_state = {};
  // ---- for single consumers (docs/protocols/consumer-streams.md) ----
  ConsumerStreamPolicy consumer_streams = {};
  std::optional<bool> follow_consumer_config = {};       // true: open what a driver or supervisor assigns (W-74)
  std::string payload_fallback_uri = {};                 // told to consumers that cannot use shared memory; aeron: or bridge://
  // Floors of report_progress(), whatever consumers ask for (W-79).
  std::optional<uint32_t> progress_interval_us = {};       // 250
  std::optional<uint32_t> progress_bytes_delta = {};       // 65536
  std::optional<uint32_t> progress_major_delta_units = {}; // 0: none
};

enum class Follow : uint8_t {
  kDescriptors,  // the protocol's way: one Aeron message a frame; works with any producer
  kRing,         // shared memory alone: lowest latency, late join at the oldest frame
};

// Told of the progress of frames that are being written; runs inside poll() and wait().
using ProgressHandler = std::function<void(const ProgressView&)>;

// Fields left at their default take the environment: CONSUMER_STREAM_ID, ... (config.md 7.3).
struct ConsumerOptions {
  std::string stream = "10000";
  Follow follow = Follow::kDescriptors;
  pool::Start start = pool::Start::kLatest;          // kRing: where to begin
  // Where to go on after having been more than a ring behind; all that was lost is told by one kDropped, as a rule.
  pool::OnLap on_lap = pool::OnLap::kOldestValid;
  uint32_t client_id = 0;
  wire::PublishMode publish_mode = wire::PublishMode::require_existing;
  wire::HugepagesPolicy hugepages = wire::HugepagesPolicy::unspecified;
  uint32_t max_outstanding_seq_gap = 256;            // kDescriptors: resync beyond it (W-85); 0 is off
  // No lease, no driver needed: what is announced is mapped (W-55). Waits for a first announce as attaching would.
  bool announce_only = false;
  bool metadata = true;  // listen to what the producer says of its data: metadata()
  uint64_t max_metadata_bytes = 16 << 20;  // of all versions kept, blobs included
  uint64_t max_blob_bytes = 0;  // of one blob; 0: blobs are ignored
  MetadataHandler on_metadata = {};
  std::optional<uint32_t> expected_layout_version = {};   // 1; 0: any
  std::optional<uint32_t> announce_freshness_ms = {};     // 3 announce periods
  std::optional<uint32_t> hello_interval_ms = {};         // 1000
  std::optional<uint32_t> qos_interval_ms = {};           // 1000
  StateHandler on_state = {};
  // ---- what this consumer asks for (docs/protocols/consumer-streams.md) ----
  wire::Mode mode = wire::Mode::stream;              // rate_limited: at most max_rate_hz; a ConsumerConfig may say otherwise
  uint32_t max_rate_hz = 0;                          // of rate_limited: up to 65535; 0: unlimited
  // A descriptor stream, a stream of FrameProgress of its own: channel and id, both or neither (CFG-20). The id that is
  // assigned may be another; declined, it stays on the shared stream. own_descriptors is for kDescriptors only.
  Endpoint own_descriptors = {};
  Endpoint own_control = {};
  ConsumerStreamPolicy consumer_streams = {};        // what it lets itself be assigned
  bool use_shm = true;                               // false: nothing is mapped; the payload is at a fallback URI
  std::string payload_fallback_uri = {};             // where the payload is without shared memory, if no Config says so
  ProgressHandler on_progress = {};                  // set: FrameProgress is asked for and heard
  std::optional<uint32_t> progress_interval_us = {};       // hints to the producer: 250
  std::optional<uint32_t> progress_bytes_delta = {};       // 65536
  std::optional<uint32_t> progress_major_delta_units = {}; // 0: unknown
};

enum class PollResult : uint8_t {
  kEmpty,     // nothing new: idle or wait
  kFrame,     // frame() holds one
  kDropped,   // frames were lost; counters().drops counts them: poll again
  kDetached,  // no mapping at the moment: it reattaches by itself; state() says where it is
};

struct ProducerCounters {
  uint64_t frames = 0;
  uint64_t failed = 0;           // claims and offers refused (too large, invalid, detached)
  uint64_t attaches = 0;
  uint64_t descriptors_sent = 0;
  uint64_t descriptors_dropped = 0;  // not connected, back pressure, ...: the frame is in memory all the same (W-53)
  uint64_t consumers = 0;            // that say hello at the moment
  uint64_t consumer_streams = 0;     // open for single consumers at the moment
  uint64_t configs_sent = 0;         // answers of ours to their requests
  uint64_t own_descriptors_sent = 0;     // over streams of single consumers
  uint64_t own_descriptors_dropped = 0;  // there, as above; what a rate cap leaves out is in neither
  uint64_t progress_sent = 0;
  uint64_t progress_dropped = 0;     // nobody took them
};
struct ConsumerCounters {
  uint64_t frames = 0;
  uint64_t remaps = 0;           // mappings after the first
  uint64_t epoch_mismatch = 0;   // descriptors of another epoch (W-60)
  uint64_t unmapped = 0;         // descriptors while not mapped (W-61)
  uint64_t last_seq = 0;
  pool::DropCounts drops;        // over all epochs
  uint64_t rate_skipped = 0;     // frames passed over by max_rate_hz: seen, and no drop (W-76)
  uint64_t progress = 0;         // told to on_progress
  uint64_t progress_ignored = 0; // stale, torn, out of bounds (W-80)
};

// What the client as a whole went through. All of it is survived by itself; these numbers say how often.
struct ClientCounters {
  uint64_t media_driver_losses = 0;  // silent, gone or replaced
  uint64_t reconnects = 0;  // to a media driver, after a loss
  uint64_t failed_reconnects = 0;
  uint64_t attach_requests = 0;  // sent; attach_repeats of them once more for want of an answer
  uint64_t attach_repeats = 0;
  uint64_t attaches = 0;  // leases granted and mapped, and epochs of own_pools
  uint64_t unanswered = 0;  // attempts that ended without an answer
  uint64_t unusable = 0;  // grants with a field or region that failed its checks
  uint64_t refused_unsupported = 0;  // attempts refused by the driver, by its code
  uint64_t refused_invalid_params = 0;
  uint64_t refused_rejected = 0;
  uint64_t refused_internal_error = 0;
  uint64_t backoffs = 0;  // pauses before another attempt
  uint64_t driver_losses = 0;  // leases ended by the driver's shutdown or silence
  uint64_t leases_revoked = 0;  // by the driver, one by one: expired, revoked
  uint64_t leases_lost = 0;  // by ourselves: no keepalive went out, a later epoch, no epoch to map
};

// The payload slots of one epoch, for a device SDK that wants to know its buffers beforehand. Claims hand out these very
// slots, in turn (slot = seq modulo slot_count).
// Lifetime: keeps the mapping (rulings P-4): buffers may stay registered with the SDK as long as this object lives.
class SlotBuffers {
 public:
  struct Pool {
    uint16_t pool_id = 0;
    uint32_t stride_bytes = 0;
    uint32_t slot_count = 0;
    MutableBytes bytes = {};  // of all slots, one behind the other
    MutableBytes slot(uint32_t index) const noexcept { return bytes.subspan(size_t{index} * stride_bytes, stride_bytes); }
  };
  uint64_t epoch() const noexcept { return epoch_; }
  const std::vector<Pool>& pools() const noexcept { return pools_; }  // as the producer's geometry() lists them
  // Still the epoch that is written: false after a loss; then ask for the next ones and register those.
  bool alive() const noexcept { return map_ && map_->alive(); }

  struct Place {
    size_t pool = 0;  // index in pools()
    uint32_t slot = 0;
  };
  // Which of these buffers a claim is; nullopt: one of another epoch.
  std::optional<Place> place_of(const pool::Claim& claim) const noexcept;

 private:
  friend class Producer;
  std::shared_ptr<pool::EpochMap> map_;
  uint64_t epoch_ = 0;
  std::vector<Pool> pools_;
};

// Result of Producer::claim(): a claim or the reason for none.
class ClaimResult {
 public:
  explicit operator bool() const noexcept { return error_ == pool::ClaimError::kNone; }
  pool::Claim& operator*() noexcept { return claim_; }
  pool::Claim* operator->() noexcept { return &claim_; }
  pool::ClaimError error() const noexcept { return error_; }
  // kTooLarge: the stride that would do.
  uint64_t needed_stride_bytes() const noexcept { return needed_stride_bytes_; }

 private:
  friend class Producer;
  pool::Claim claim_;
  pool::ClaimError error_ = pool::ClaimError::kDetached;
  uint64_t needed_stride_bytes_ = 0;
};
std::string_view text_of(pool::ClaimError error) noexcept;

// What a frame carries besides its tensor.
struct FrameInfo {
  std::optional<uint64_t> timestamp_ns = {};  // capture time; default: CLOCK_MONOTONIC at claim
  uint64_t trace_id = 0;                  // travels in the descriptor; 0: none
};

// What became of report_progress().
enum class ProgressResult : uint8_t {
  kSent,
  kHeld,        // too soon, too little, or nobody took it: what goes out next carries the newer count
  kNobody,      // no consumer wants progress: nothing was done
  kInvalid,     // more than the payload, fewer than reported before, or the claim is not open
  kDetached,
};

class Producer {
 public:
  Producer(Producer&&) noexcept;
  Producer& operator=(Producer&&) noexcept;
  ~Producer();  // detaches, waiting at most 1 s for the answer (D-65)

  // Claim the next slot. Never blocks, allocates (but for `tensor` itself) or throws.
  [[nodiscard]] ClaimResult claim(const Tensor& tensor) noexcept;
  [[nodiscard]] ClaimResult claim(const wire::TensorHeader& tensor, std::optional<uint32_t> values_len_bytes = std::nullopt) noexcept;
  // Publish: commit, then the descriptor, then the doorbell.
  [[nodiscard]] pool::CommitResult commit(pool::Claim& claim, const FrameInfo& info = {}) noexcept;
  void abort(pool::Claim& claim) noexcept;
  // The first `bytes_filled` bytes of an open claim are in place (and, for a device that writes them, visible to CPUs): tell
  // consumers that want to read frames while they are written, as often as they and the floors of the options allow. The
  // first report of a claim makes its shape readable; `info` is then the frame's, whatever commit() is given. commit() tells
  // the end by itself. Costs one look at a flag while nobody wants it. Never blocks, allocates or throws.
  ProgressResult report_progress(pool::Claim& claim, uint64_t bytes_filled, const FrameInfo& info = {}) noexcept;
  // Copy and publish in one call.
  [[nodiscard]] pool::ClaimError offer(const wire::TensorHeader& tensor, Bytes payload, const FrameInfo& info = {}) noexcept;
  [[nodiscard]] pool::ClaimError offer(const Tensor& tensor, Bytes payload, const FrameInfo& info = {}) noexcept;

  State state() const noexcept;
  std::string status_text() const;            // one line: state, epoch, last reason
  // Say what the data is, from the next frame on: raises the metadata version that frames carry (W-87). Throws Error
  // kInvalidArgument for what no message can carry, and for keys or blob types that are not unique.
  void set_data_source(DataSource source);

  uint32_t stream_id() const noexcept;        // as granted by the driver
  uint64_t epoch() const noexcept;            // 0: detached
  uint64_t next_seq() const noexcept;
  std::optional<pool::Geometry> geometry() const;
  // The slots of the current epoch; nullopt: detached.
  std::optional<SlotBuffers> buffers() const;
  uint32_t meta_version() const noexcept;  // that frames carry now; 0: none
  ProducerCounters counters() const noexcept;

 private:
  friend class Client;
  struct Impl;
  explicit Producer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Consumer {
 public:
  Consumer(Consumer&&) noexcept;
  Consumer& operator=(Consumer&&) noexcept;
  ~Consumer();

  // The next frame, if there is one. Never blocks, allocates or throws (but once after each (re)attach, when it takes the
  // new mapping over).
  [[nodiscard]] PollResult poll() noexcept;
  // poll(), and while empty wait up to `timeout`: parked on the stream's doorbell if it has one, else with backoff.
  [[nodiscard]] PollResult wait(std::chrono::nanoseconds timeout) noexcept;
  // Valid after kFrame, until the next poll() or wait().
  const pool::FrameView& frame() const noexcept;

  State state() const noexcept;
  std::string status_text() const;
  uint32_t stream_id() const noexcept;
  uint64_t epoch() const noexcept;  // mapped epoch, 0 if none
  // Where the payload is while state() is kFallback (W-77); else empty.
  std::string fallback_uri() const;
  // What the last ConsumerConfig gave us to ourselves; stream_id 0: nothing.
  Endpoint assigned_descriptors() const;
  Endpoint assigned_control() const;
  ConsumerCounters counters() const noexcept;

  // What the producer says of its data. From any thread; each call takes a lock, so ask when the version changes, not for
  // each frame. nullptr: not heard (yet: producers say it once a second), or ConsumerOptions::metadata is off.
  std::shared_ptr<const Metadata> metadata() const;  // the newest version
  std::shared_ptr<const Metadata> metadata(uint32_t version) const;
  std::shared_ptr<const Metadata> frame_metadata() const;  // of frame(): its version, its epoch; the polling thread
  std::optional<uint32_t> frame_meta_version() const noexcept;  // from the frame, else from its descriptor
  MetadataCounters metadata_counters() const;

 private:
  friend class Client;
  struct Impl;
  explicit Consumer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Client {
 public:
  // Connects to the media driver. Throws Error kUnavailable with what to start.
  static Client connect(ClientOptions options = {});
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // Attach as the stream's only producer. Throws Error: kUnavailable (no driver answered), kRejected (another producer, ...),
  // each saying what to do. Later losses do not throw: see State.
  Producer producer(ProducerOptions options = {});
  Consumer consumer(ConsumerOptions options = {});

  // With ClientOptions::invoker only: one duty cycle of the conductor. Returns work done.
  int poll();

  ClientCounters counters() const noexcept;  // any thread

  // Who produces and who consumes a stream, how far consumers lag and what they lose, as they report it themselves once a
  // second. Reports count from watch_qos() on; who was silent for five seconds is left out. Any thread.
  void watch_qos();
  StreamQos qos(uint32_t stream_id) const;

 private:
  struct Impl;
  explicit Client(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace tidepool::client

#include "tidepool/feed/merged_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kNoEnd = ~uint64_t{0};
constexpr uint64_t kTurnNs = 2 * kNsPerMs;  // for each feed, while all are silent

// One record, kept readable by its hold.
struct Held {
  uint64_t time_ns = 0;
  Item item;
  std::shared_ptr<const void> hold;
};
struct LaterFirst {
  bool operator()(const Held& a, const Held& b) const noexcept {
    return a.time_ns != b.time_ns ? a.time_ns > b.time_ns : a.item.seq > b.item.seq;
  }
};

// One feed of a merge: its records in the order of its clock, as far as the window for that goes.
class Feed {
 public:
  Feed(const FeedRef& ref, const MergeOptions& options, const std::optional<Interval>& window)
      : options_(&options), name_(ref.text()), reader_(FeedReader::open(ref.base, ref.feed, options.reader)) {
    const Schema& schema = reader_.feed().schema;
    clock_ = ref.clock.empty() ? 0 : schema.clock_named(ref.clock);
    unit_ = schema.clock(clock_).unit;
    if (window) {
      range_ = reader_.range(raw_range(*window, unit_, clock_));
    }
  }

  FeedReader& reader() noexcept { return reader_; }
  ClockDomain domain() const noexcept { return reader_.feed().schema.clock(clock_).domain; }
  const std::string& name() const noexcept { return name_; }
  // All is given, its end too.
  bool over() const noexcept { return ended_ && buffer_.empty() && !event_; }
  bool out_of_patience() const noexcept {
    return options_->patience_ns != kNoEnd && silent_since_ns_ != 0 && monotonic_ns() - silent_since_ns_ >= options_->patience_ns;
  }
  uint64_t patience_left_ns() const noexcept {
    if (options_->patience_ns == kNoEnd || silent_since_ns_ == 0) return options_->patience_ns;
    const uint64_t silent_ns = monotonic_ns() - silent_since_ns_;
    return options_->patience_ns - std::min(silent_ns, options_->patience_ns);
  }

  // The record that comes next of this feed, if that is known.
  const Held* head() const noexcept {
    if (buffer_.empty()) return nullptr;
    const Held& first = buffer_.front();
    const bool settled = ended_ || event_ || options_->reorder_ns == 0 || youngest_ns_ - first.time_ns >= options_->reorder_ns;
    return settled || buffer_.size() >= options_->reorder_records_max || out_of_patience() ? &first : nullptr;
  }
  Held take() {
    std::pop_heap(buffer_.begin(), buffer_.end(), LaterFirst());
    Held held = std::move(buffer_.back());
    buffer_.pop_back();
    return held;
  }
  // What befell the feed behind the records that were taken.
  std::optional<Item> event() {
    if (!event_ || !buffer_.empty()) return std::nullopt;
    return std::exchange(event_, std::nullopt);
  }

  // Look for one more record, waiting that long. False: nothing there yet.
  bool pull(uint64_t timeout_ns) {
    Item item = range_ ? from_range() : reader_.next(timeout_ns);
    if (item.is_record()) {
      silent_since_ns_ = 0;
      keep(std::move(item));
      return true;
    }
    if (item.kind == Item::Kind::kIdle) {
      if (silent_since_ns_ == 0) silent_since_ns_ = monotonic_ns();
      return false;
    }
    ended_ = item.kind == Item::Kind::kEnded || item.kind == Item::Kind::kReplaced || item.kind == Item::Kind::kDeleted;
    event_ = std::move(item);
    return true;
  }
  bool may_pull() const noexcept { return !ended_ && !event_; }

 private:
  void keep(Item item) {
    const uint64_t time_ns = convert_clock_or_throw(item.clock(clock_), unit_, ClockUnit::kNs);
    youngest_ns_ = std::max(youngest_ns_, time_ns);
    buffer_.push_back({time_ns, std::move(item), reader_.hold()});
    std::push_heap(buffer_.begin(), buffer_.end(), LaterFirst());
  }

  // The next record of the window; kEnded behind it.
  Item from_range() {
    Item item;
    while (at_ >= piece_.count || piece_.kind != Item::Kind::kRow) {
      at_ = 0;
      if (!range_->next(piece_)) {
        piece_ = {};
        item.kind = Item::Kind::kEnded;
        return item;
      }
      if (piece_.kind == Item::Kind::kGap) {
        item.kind = Item::Kind::kGap;
        item.gap = piece_.gap;
        return item;
      }
      if (piece_.kind == Item::Kind::kFrame) return reader_.read(piece_.first_seq);  // with its head
    }
    const size_t bytes = piece_.rows.size() / piece_.count;
    item.kind = Item::Kind::kRow;
    item.seq = piece_.first_seq + at_;
    item.bytes = piece_.rows.subspan(at_ * bytes, bytes);
    ++at_;
    return item;
  }

  const MergeOptions* options_;
  std::string name_;
  FeedReader reader_;
  size_t clock_ = 0;
  ClockUnit unit_ = ClockUnit::kNs;
  std::optional<FeedReader::Range> range_;
  Batch piece_;
  uint64_t at_ = 0;
  std::vector<Held> buffer_;      // a heap, the earliest in front
  std::optional<Item> event_;     // nothing is looked at behind it before it is told
  uint64_t youngest_ns_ = 0;
  uint64_t silent_since_ns_ = 0;
  bool ended_ = false;
};

}  // namespace

class MergedReader::Impl {
 public:
  Impl(const std::vector<FeedRef>& refs, const MergeOptions& options, const std::optional<Interval>& window) : options_(options) {
    if (refs.empty()) throw FeedError(Fault::kUsage, "a merge of no feed");
    if (options.reorder_records_max == 0) throw FeedError(Fault::kUsage, "reorder_records_max is 0: expected 1 or more");
    feeds_.reserve(refs.size());
    for (const FeedRef& ref : refs) feeds_.push_back(std::make_unique<Feed>(ref, options_, window));
    for (const auto& wall : feeds_) {
      for (const auto& other : feeds_) {
        if (wall->domain() != ClockDomain::kWall || other->domain() != ClockDomain::kMonotonic) continue;
        throw FeedError(Fault::kUsage, "feed ", wall->name(), " is timed by a wall clock and feed ", other->name(),
                        " by a monotonic one");
      }
    }
  }

  size_t feeds() const noexcept { return feeds_.size(); }
  FeedReader& reader(size_t feed) noexcept { return feeds_.at(feed)->reader(); }
  uint64_t late() const noexcept { return late_; }

  MergedItem next(uint64_t timeout_ns) {
    given_ = {};
    const uint64_t begin_ns = monotonic_ns();
    const uint64_t deadline_ns = timeout_ns > kNoEnd - begin_ns ? kNoEnd : begin_ns + timeout_ns;
    for (;;) {
      for (size_t i = 0; i < feeds_.size(); ++i) {
        Feed& feed = *feeds_[i];
        while (feed.head() == nullptr && feed.may_pull() && feed.pull(0)) {
        }
        if (auto event = feed.event()) return {i, 0, false, std::move(*event)};
      }
      Feed* silent = nullptr;  // holds the others back
      size_t best = feeds_.size();
      bool over = true;
      for (size_t i = 0; i < feeds_.size(); ++i) {
        const Feed& feed = *feeds_[i];
        over &= feed.over();
        if (feed.head() != nullptr) {
          if (best == feeds_.size() || feed.head()->time_ns < feeds_[best]->head()->time_ns) best = i;
        } else if (!feed.over() && !feed.out_of_patience() && silent == nullptr) {
          silent = feeds_[i].get();
        }
      }
      if (over) return of_all(Item::Kind::kEnded);
      if (silent == nullptr && best != feeds_.size()) return give(best);
      if (!wait(silent, deadline_ns)) return of_all(Item::Kind::kIdle);
    }
  }

 private:
  MergedItem of_all(Item::Kind kind) const {
    MergedItem item;
    item.feed = feeds_.size();
    item.item.kind = kind;
    return item;
  }

  // For the silent one, if it is one; if all are, in turn. False: the time is over.
  bool wait(Feed* silent, uint64_t deadline_ns) {
    const uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return false;
    uint64_t wait_ns = deadline_ns - now_ns;
    if (silent != nullptr) {
      wait_ns = std::min(wait_ns, silent->patience_left_ns());
    } else {
      wait_ns = std::min(wait_ns, kTurnNs);
      for (size_t i = 0; i < feeds_.size() && silent == nullptr; ++i) {
        turn_ = (turn_ + 1) % feeds_.size();
        if (feeds_[turn_]->may_pull()) silent = feeds_[turn_].get();
      }
    }
    if (silent != nullptr && silent->may_pull()) silent->pull(wait_ns);
    return true;
  }

  MergedItem give(size_t feed) {
    given_ = feeds_[feed]->take();
    MergedItem item{feed, given_.time_ns, given_.time_ns < newest_ns_, given_.item};
    if (item.late) ++late_;
    newest_ns_ = std::max(newest_ns_, given_.time_ns);
    return item;
  }

  MergeOptions options_;
  std::vector<std::unique_ptr<Feed>> feeds_;
  Held given_;
  uint64_t newest_ns_ = 0;
  uint64_t late_ = 0;
  size_t turn_ = 0;
};

MergedReader::MergedReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MergedReader::MergedReader(MergedReader&&) noexcept = default;
MergedReader& MergedReader::operator=(MergedReader&&) noexcept = default;
MergedReader::~MergedReader() = default;

MergedReader MergedReader::open_window(const std::vector<FeedRef>& refs, const Interval& window_ns, const MergeOptions& options) {
  return MergedReader(std::make_unique<Impl>(refs, options, window_ns));
}
MergedReader MergedReader::follow(const std::vector<FeedRef>& refs, const MergeOptions& options) {
  return MergedReader(std::make_unique<Impl>(refs, options, std::nullopt));
}
size_t MergedReader::feeds() const noexcept { return impl_->feeds(); }
FeedReader& MergedReader::reader(size_t feed) noexcept { return impl_->reader(feed); }
MergedItem MergedReader::next(uint64_t timeout_ns) { return impl_->next(timeout_ns); }
uint64_t MergedReader::late() const noexcept { return impl_->late(); }

}  // namespace tidepool::feed

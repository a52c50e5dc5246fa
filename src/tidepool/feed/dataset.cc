#include "tidepool/feed/dataset.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tidepool/base/log.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kForever = std::numeric_limits<uint64_t>::max();

Interval in_ns(const Interval& raw, ClockUnit unit, const FeedInfo& feed) {
  const auto to = convert_clock(raw.to, unit, ClockUnit::kNs);
  if (!to)
    throw FeedError(Fault::kOutOfRange, "feed ", feed.name, ": clock value ", raw.to - 1,
                    " does not fit into nanoseconds of 64 bits");
  return {*convert_clock(raw.from, unit, ClockUnit::kNs), *to};
}

DatasetFeed look_at(const FeedRef& ref, const DatasetOptions& options) {
  FeedReader reader = FeedReader::open(ref.base, ref.feed, {.files = options.files});
  const FeedInfo& feed = reader.feed();
  DatasetFeed told;
  told.ref = ref;
  told.base_id = feed.base_id;
  told.feed_id = feed.id;
  told.clock = ref.clock.empty() ? 0 : feed.schema.clock_named(ref.clock);
  told.unit = feed.schema.clock(told.clock).unit;
  told.domain = feed.schema.clock(told.clock).domain;
  std::vector<Interval> usable;
  for (const Segment& segment : stored_segments(reader)) {
    if (segment.status == SegmentStatus::kBroken) {
      told.remarks.push_back(segment.end_seq == kUnknownCount
                                 ? concat("records from ", segment.first_seq, " on: ", segment.reason)
                                 : concat("records ", segment.first_seq, " to ", segment.end_seq, ": ", segment.reason));
    } else if (segment.records() != 0 && passes(segment, options.segments, options.include_open)) {
      if (segment.clipped)
        told.remarks.push_back(concat("segment ", segment.id, " held more once: records from ", segment.first_seq, " to ",
                                      segment.end_seq, " are left"));
      usable.push_back(in_ns(interval_of(segment, told.clock), told.unit, feed));
    }
  }
  told.usable = merged(std::move(usable));
  return told;
}

// Times of a wall clock and of a monotonic one have nothing to do with each other; a user's clock is the user's business.
void check_domains(const std::vector<DatasetFeed>& feeds) {
  for (const DatasetFeed& wall : feeds) {
    for (const DatasetFeed& other : feeds) {
      if (wall.domain == ClockDomain::kWall && other.domain == ClockDomain::kMonotonic) {
        throw FeedError(Fault::kUsage, "feed ", wall.ref.text(), " is timed by a wall clock and feed ", other.ref.text(),
                        " by a monotonic one: choose clocks of one kind (feed@clock)");
      }
    }
  }
}

uint64_t add(uint64_t a, uint64_t b) noexcept { return a > kForever - b ? kForever : a + b; }
uint64_t subtract(uint64_t a, uint64_t b) noexcept { return a > b ? a - b : 0; }

// Where part `i` of `n` begins: no two differ in length by more than one.
uint64_t part_begin(const Interval& window, size_t i, size_t n) noexcept {
  const uint64_t each = window.duration() / n;
  const uint64_t rest = window.duration() % n;
  return window.from + each * i + std::min<uint64_t>(i, rest);
}

class ContentTaker {
 public:
  ContentTaker(FeedReader& reader, WindowContent& content, bool checksum)
      : reader_(reader), content_(content), checksum_(checksum) {}

  void take(const Batch& piece) {
    if (piece.kind == Item::Kind::kGap) {
      content_.gaps.push_back(piece.gap);
      return;
    }
    Bytes bytes = piece.rows;
    if (content_.records == 0) content_.first_seq = piece.first_seq;
    content_.end_seq = piece.first_seq + piece.count;
    content_.records += piece.count;
    content_.bytes += bytes.size();
    if (checksum_) content_.crc = crc32c(content_.crc, bytes);
  }

  void finish() {
    if (content_.records == 0) return;
    for (const EpochInfo& epoch : reader_.epochs()) {
      if (epoch.first_seq <= content_.first_seq) content_.first_epoch = epoch.epoch;
      if (epoch.first_seq < content_.end_seq) content_.last_epoch = epoch.epoch;
    }
  }

 private:
  FeedReader& reader_;
  WindowContent& content_;
  bool checksum_;
};

}  // namespace

FeedSource parse_source(std::string_view text) {
  const auto at = text.find('=');
  if (at == std::string_view::npos || at == 0 || at + 1 == text.size()) {
    throw FeedError(Fault::kUsage, "source '", printable(text), "': expected alias=path");
  }
  const std::string_view alias = text.substr(0, at);
  if (alias.find_first_of(":@,/") != std::string_view::npos)
    throw FeedError(Fault::kUsage, "source '", printable(text), "': an alias holds no ':', '@', ',' or '/'");
  return {std::string(alias), std::string(text.substr(at + 1))};
}

FeedRef parse_feed_ref(std::string_view text, const std::vector<FeedSource>& sources) {
  FeedRef ref;
  std::string_view rest = text;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    ref.clock = rest.substr(at + 1);
    if (ref.clock.empty()) throw FeedError(Fault::kUsage, "feed '", printable(text), "': no clock behind the '@'");
    rest = rest.substr(0, at);
  }
  if (const auto at = rest.find(':'); at != std::string_view::npos) {
    ref.alias = rest.substr(0, at);
    rest = rest.substr(at + 1);
  } else if (sources.size() == 1) {
    ref.alias = sources.front().alias;
  } else {
    throw FeedError(Fault::kUsage, "feed '", printable(text), "': which source? There are ", sources.size(), ": say alias:feed");
  }
  ref.feed = rest;
  check_feed_name(ref.feed);
  std::string known;
  for (const FeedSource& source : sources) {
    if (source.alias == ref.alias) ref.base = source.base;
    known += concat(known.empty() ? "" : ", ", source.alias);
  }
  if (ref.base.empty())
    throw FeedError(Fault::kUsage, "feed '", printable(text), "': there is no source '", printable(ref.alias), "'; there are ",
                    known);
  return ref;
}

std::optional<Interval> Dataset::longest() const noexcept {
  if (windows.empty()) return std::nullopt;
  return *std::max_element(windows.begin(), windows.end(),
                           [](const Interval& a, const Interval& b) { return a.duration() < b.duration(); });
}

Dataset find_dataset(const std::vector<FeedRef>& refs, const DatasetOptions& options) {
  if (refs.empty()) throw FeedError(Fault::kUsage, "a dataset of no feed");
  Dataset dataset;
  std::vector<std::vector<Interval>> lists;
  for (const FeedRef& ref : refs) {
    dataset.feeds.push_back(look_at(ref, options));
    lists.push_back(dataset.feeds.back().usable);
  }
  check_domains(dataset.feeds);
  dataset.windows = intersection(lists);
  std::erase_if(dataset.windows, [&](const Interval& window) { return window.duration() < options.min_duration_ns; });
  return dataset;
}

std::vector<Interval> intersection(const std::vector<std::vector<Interval>>& lists) {
  if (lists.empty()) return {};
  std::vector<Interval> common = lists.front();
  for (size_t i = 1; i < lists.size(); ++i) {
    std::vector<Interval> next;
    auto a = common.begin();
    auto b = lists[i].begin();
    while (a != common.end() && b != lists[i].end()) {
      const Interval both{std::max(a->from, b->from), std::min(a->to, b->to)};
      if (both.from < both.to) next.push_back(both);
      a->to < b->to ? static_cast<void>(++a) : static_cast<void>(++b);
    }
    common = std::move(next);
  }
  return common;
}

std::optional<Split> split_window(const Interval& window, double ratio, uint64_t embargo_ns) {
  if (!(ratio > 0 && ratio < 1)) throw FeedError(Fault::kUsage, "a ratio of ", ratio, ": expected more than 0 and less than 1");
  if (window.from >= window.to || window.duration() < 2) return std::nullopt;
  const auto wanted =
      static_cast<uint64_t>(std::floor(static_cast<long double>(window.duration()) * static_cast<long double>(ratio)));
  const uint64_t train = std::clamp<uint64_t>(wanted, 1, window.duration() - 1);
  const Interval validation{add(window.from + train, embargo_ns), window.to};
  if (validation.from >= validation.to) return std::nullopt;
  return Split{{{window.from, window.from + train}}, validation};
}

std::vector<Split> k_folds(const Interval& window, size_t k, uint64_t embargo_ns) {
  if (k < 2) throw FeedError(Fault::kUsage, k, " folds: expected 2 or more");
  std::vector<Split> folds;
  if (window.from >= window.to || window.duration() < k) return folds;
  for (size_t i = 0; i < k; ++i) {
    Split fold;
    fold.validation = {part_begin(window, i, k), part_begin(window, i + 1, k)};
    const Interval before{window.from, std::max(window.from, subtract(fold.validation.from, embargo_ns))};
    const Interval after{std::min(window.to, add(fold.validation.to, embargo_ns)), window.to};
    if (before.from < before.to) fold.train.push_back(before);
    if (after.from < after.to) fold.train.push_back(after);
    if (!fold.train.empty()) folds.push_back(std::move(fold));
  }
  return folds;
}

std::vector<Split> walk_forward(const Interval& window, size_t steps, uint64_t train_ns, uint64_t embargo_ns) {
  if (steps < 1) throw FeedError(Fault::kUsage, "a walk of no steps");
  std::vector<Split> walk;
  if (window.from >= window.to || window.duration() < steps + 1) return walk;
  for (size_t i = 1; i <= steps; ++i) {
    Split step;
    step.validation = {part_begin(window, i, steps + 1), part_begin(window, i + 1, steps + 1)};
    Interval train{window.from, std::max(window.from, subtract(step.validation.from, embargo_ns))};
    if (train_ns != 0) train.from = std::max(train.from, subtract(train.to, train_ns));
    if (train.from >= train.to) continue;
    step.train.push_back(train);
    walk.push_back(std::move(step));
  }
  return walk;
}

TimeRange raw_range(const Interval& window_ns, ClockUnit unit, size_t clock) noexcept {
  // To a coarser unit, or the same: always fits.
  return {convert_clock(window_ns.from, ClockUnit::kNs, unit, Rounding::kUp).value_or(kForever),
          convert_clock(window_ns.to, ClockUnit::kNs, unit, Rounding::kUp).value_or(kForever), clock};
}

bool WindowContent::operator==(const WindowContent& other) const {
  return feed_id == other.feed_id && first_seq == other.first_seq && end_seq == other.end_seq && records == other.records &&
         bytes == other.bytes && first_epoch == other.first_epoch && last_epoch == other.last_epoch && crc == other.crc &&
         gaps.size() == other.gaps.size();
}

std::vector<WindowContent> window_content(const Dataset& dataset, const Interval& window, bool checksum, Files& files) {
  std::vector<WindowContent> contents;
  for (const DatasetFeed& feed : dataset.feeds) {
    FeedReader reader = FeedReader::open(feed.ref.base, feed.ref.feed, {.files = &files});
    if (reader.feed().id != feed.feed_id) {
      throw FeedError(Fault::kFeedReplaced, "feed ", feed.ref.text(), " was deleted and created again since the dataset was made");
    }
    WindowContent content;
    content.feed = feed.ref.text();
    content.base_id = feed.base_id;
    content.feed_id = feed.feed_id;
    ContentTaker taker(reader, content, checksum);
    try {
      auto range = reader.range(raw_range(window, feed.unit, feed.clock));
      for (Batch piece; range.next(piece);) taker.take(piece);
    } catch (const FeedError& error) {
      if (error.fault() != Fault::kCorrupt) throw;
      content.gaps.push_back(
          {content.end_seq, content.end_seq, GapCause::kDamaged, error.what()});  // not even the beginning is found
    }
    taker.finish();
    contents.push_back(std::move(content));
  }
  return contents;
}

std::vector<std::string> content_differences(const std::vector<WindowContent>& then, const std::vector<WindowContent>& now) {
  std::vector<std::string> lines;
  if (then.size() != now.size()) lines.push_back(concat("there were ", then.size(), " feeds and there are ", now.size()));
  for (size_t i = 0; i < std::min(then.size(), now.size()); ++i) {
    const WindowContent& a = then[i];
    const WindowContent& b = now[i];
    if (a.feed_id != b.feed_id) {
      lines.push_back(concat("feed ", a.feed, ": deleted and created again since"));
      continue;
    }
    const auto differ = [&](std::string_view what, uint64_t was, uint64_t is) {
      if (was != is) lines.push_back(concat("feed ", a.feed, ": ", what, " ", was, " then, ", is, " now"));
    };
    differ("first record", a.first_seq, b.first_seq);
    differ("end", a.end_seq, b.end_seq);
    differ("records", a.records, b.records);
    differ("bytes", a.bytes, b.bytes);
    differ("first epoch", a.first_epoch, b.first_epoch);
    differ("last epoch", a.last_epoch, b.last_epoch);
    if (a.crc != 0 && b.crc != 0 && a.crc != b.crc) lines.push_back(concat("feed ", a.feed, ": another content (checksum)"));
    for (const Gap& gap : b.gaps)
      lines.push_back(concat("feed ", a.feed, ": records ", gap.from, " to ", gap.to, " cannot be read ", gap.text));
  }
  return lines;
}

}  // namespace tidepool::feed

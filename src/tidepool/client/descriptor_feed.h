#pragma once
// A consumer's descriptors as one sequence, out of all streams that carry them at the moment (W-72): the shared one, its own,
// and one that it is leaving. With one stream it is that stream; with several, frames come in order, each once.
//
// Why nothing is lost between two streams: producers send a frame to the shared stream first. So with the own one looked at
// first, whatever is found there has its predecessors on the shared one already.
//
// Thread safety: the consumer's thread. No allocation.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "tidepool/control/dispatch.h"
#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {

class DescriptorFeed {
 public:
  struct Heard {
    wire::FrameDescriptor descriptor;
    bool own = false;    // from a stream of this consumer's alone
    bool fresh = false;  // the first of a stream that was opened while another was read: no gap before it counts (W-83)
  };
  enum class Screen : uint8_t { kTake, kSkip, kStop };  // what the consumer makes of a descriptor, before its sequence matters
  enum class Next : uint8_t { kNone, kHeard, kStopped };

  // From now on these; any may be nullptr. A stream that is not among them any more is read to its end first.
  void take(const std::shared_ptr<transport::Subscription>& shared, const std::shared_ptr<transport::Subscription>& own,
            const std::shared_ptr<transport::Subscription>& leaving) noexcept;
  // What was heard and not told yet is void: its epoch has ended.
  void end_epoch() noexcept;

  // The next descriptor that `screen(descriptor)` takes. `last_seq`: of the last one told.
  template <typename ScreenCall>
  Next next(Heard& out, const std::optional<uint64_t>& last_seq, ScreenCall&& screen) noexcept {
    return count_ == 1 ? next_of_one(out, screen) : next_of_all(out, last_seq, screen);
  }

  // Streams were switched, and nothing newer than what the old one had has come of it yet: sequences go back without meaning
  // anything (W-66).
  bool switching() const noexcept { return switching_; }
  // A descriptor newer than all before was told.
  void moved_on() noexcept {
    if (count_ <= 1) switching_ = false;
  }

  void clear() noexcept;

 private:
  static constexpr int kMessagesPerPoll = 256;  // of other streams on a shared plane, before next() returns
  struct Source {
    std::shared_ptr<transport::Subscription> subscription;
    bool own = false;
    bool fresh = false;
    bool draining = false;  // not ours any more; goes when it is empty
    std::optional<wire::FrameDescriptor> head;
  };

  template <typename ScreenCall>
  struct Ear {
    ScreenCall& screen;
    wire::FrameDescriptor heard;
    Screen outcome = Screen::kSkip;
    void on(const wire::FrameDescriptor& descriptor, const transport::MessageInfo&) {
      outcome = screen(descriptor);
      if (outcome == Screen::kTake) heard = descriptor;
    }
  };

  // One descriptor of one stream: kTake, kStop, or kSkip when there is none.
  template <typename ScreenCall>
  Screen poll(transport::Subscription& subscription, wire::FrameDescriptor& out, ScreenCall& screen) noexcept {
    Ear<ScreenCall> ear{screen, {}};
    const auto sink = [&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, ear, counts_); };
    for (int i = 0; i < kMessagesPerPoll && subscription.poll(sink, 1) > 0; ++i) {
      if (ear.outcome == Screen::kSkip) continue;
      out = ear.heard;
      return ear.outcome;
    }
    return Screen::kSkip;
  }

  template <typename ScreenCall>
  Next next_of_one(Heard& out, ScreenCall& screen) noexcept {
    Source& source = sources_[0];
    if (source.head) {
      out = {*std::exchange(source.head, std::nullopt), source.own, std::exchange(source.fresh, false)};
      return Next::kHeard;
    }
    const Screen got = poll(*source.subscription, out.descriptor, screen);
    if (got == Screen::kSkip) {
      if (source.draining) remove(0);
      return Next::kNone;
    }
    if (got == Screen::kStop) return Next::kStopped;
    out.own = source.own;
    out.fresh = std::exchange(source.fresh, false);
    return Next::kHeard;
  }

  template <typename ScreenCall>
  Next next_of_all(Heard& out, const std::optional<uint64_t>& last_seq, ScreenCall& screen) noexcept {
    for (const bool own : {true, false}) {
      for (size_t i = 0; i < count_; ++i) {
        Source& source = sources_[i];
        if (source.own != own) continue;
        const auto is_copy = [&] { return source.head && last_seq && source.head->seq <= *last_seq; };
        while (!source.head || is_copy()) {
          if (is_copy()) source.fresh = false;  // it overlaps with what was told: from here on its gaps are gaps
          source.head.reset();
          wire::FrameDescriptor descriptor;
          const Screen got = poll(*source.subscription, descriptor, screen);
          if (got == Screen::kStop) return Next::kStopped;
          if (got == Screen::kSkip) break;
          source.head = descriptor;
        }
      }
    }
    for (size_t i = count_; i-- > 0;) {
      if (sources_[i].draining && !sources_[i].head) remove(i);
    }
    Source* lowest = nullptr;
    for (size_t i = 0; i < count_; ++i) {
      if (sources_[i].head && (lowest == nullptr || sources_[i].head->seq < lowest->head->seq)) lowest = &sources_[i];
    }
    if (lowest == nullptr) return Next::kNone;
    out = {*std::exchange(lowest->head, std::nullopt), lowest->own, std::exchange(lowest->fresh, false)};
    return Next::kHeard;
  }

  void remove(size_t at) noexcept;

  std::array<Source, 6> sources_;
  size_t count_ = 0;
  bool switching_ = false;
  control::DispatchCounts counts_;
};

}  // namespace tidepool::client

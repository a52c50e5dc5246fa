#pragma once
// For this folder's tests: a clock that stands still until told, and a client that speaks the bare protocol (wire and
// transport alone), so that nothing of ours vouches for itself.

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/services/driver/driver.h"
#include "tidepool/transport/test_media_driver.h"
#include "tidepool/wire/messages.h"

namespace tidepool::driver::testing {

// Stands at the time it was made, close to what files and pids say, and moves only when told.
class StillClock final : public Clock {
 public:
  uint64_t monotonic_ns() const noexcept override { return monotonic_ns_; }
  uint64_t realtime_ns() const noexcept override { return realtime_ns_; }
  void advance_ns(uint64_t ns) noexcept {
    monotonic_ns_ += ns;
    realtime_ns_ += ns;
  }
  void advance_ms(uint64_t ms) noexcept { advance_ns(ms * kNsPerMs); }
  void step_realtime_ns(int64_t ns) noexcept { realtime_ns_ += static_cast<uint64_t>(ns); }  // somebody sets the clock

 private:
  uint64_t monotonic_ns_ = tidepool::monotonic_ns();
  uint64_t realtime_ns_ = tidepool::realtime_ns();
};

using Heard = std::variant<wire::ShmPoolAnnounce, wire::ShmAttachResponse, wire::ShmDetachResponse, wire::ShmLeaseRevoked,
                           wire::ShmDriverShutdown, wire::ConsumerConfig>;

// Hears all that drivers say on a control stream (and an announce stream beside it), in order; says what it is told to.
class RawClient {
 public:
  RawClient(const std::string& aeron_dir, const std::string& channel, int32_t control_stream, int32_t announce_stream) {
    auto options = transport::testing::connection_options(aeron_dir);
    connection_ = transport::Connection::open(options);
    control_in_ = connection_->add_subscription(channel, control_stream);
    if (announce_stream != control_stream) announce_in_ = connection_->add_subscription(channel, announce_stream);
    control_out_ = connection_->add_publication(channel, control_stream);
    if (!transport::testing::poll_until([this] {
          connection_->poll();
          return control_out_->connected();
        }))
      throw std::runtime_error("control stream not joined");
  }

  template <typename Message>
  void send(const Message& message) {
    send_bytes(wire::encode_new(message));
  }
  void send_bytes(const std::vector<std::byte>& bytes) {
    ASSERT_TRUE(transport::testing::poll_until([&] {
      if (control_out_->send(bytes) == transport::SendResult::kOk) return true;
      if (while_full) while_full();  // a log that is full waits for those who read it
      return false;
    }));
    connection_->poll();
  }
  transport::SendResult try_send(const std::vector<std::byte>& bytes) { return control_out_->send(bytes); }

  int poll() {
    const auto sink = [this](Bytes message, const transport::MessageInfo& info) {
      control::dispatch(message, info, *this, counts);
    };
    return connection_->poll() + control_in_->poll(sink, 1000) + (announce_in_ ? announce_in_->poll(sink, 1000) : 0);
  }

  void on(const wire::ShmPoolAnnounce& m, const transport::MessageInfo&) { heard.emplace_back(m); }
  void on(const wire::ShmAttachResponse& m, const transport::MessageInfo&) { heard.emplace_back(m); }
  void on(const wire::ShmDetachResponse& m, const transport::MessageInfo&) { heard.emplace_back(m); }
  void on(const wire::ShmLeaseRevoked& m, const transport::MessageInfo&) { heard.emplace_back(m); }
  void on(const wire::ShmDriverShutdown& m, const transport::MessageInfo&) { heard.emplace_back(m); }
  void on(const wire::ConsumerConfig& m, const transport::MessageInfo&) { heard.emplace_back(m); }

  template <typename Message>
  std::vector<Message> all() const {
    std::vector<Message> out;
    for (const auto& one : heard)
      if (const auto* message = std::get_if<Message>(&one)) out.push_back(*message);
    return out;
  }
  template <typename Message>
  size_t count() const {
    return all<Message>().size();
  }
  // "announce(10,p5) revoked(10,c5,EXPIRED) attach(OK)": the order of what was heard.
  std::string story() const {
    std::string out;
    for (const auto& one : heard) {
      if (!out.empty()) out += " ";
      if (const auto* a = std::get_if<wire::ShmPoolAnnounce>(&one))
        out += concat("announce(", a->stream_id, ",p", a->producer_id, ")");
      if (const auto* r = std::get_if<wire::ShmAttachResponse>(&one)) out += concat("attach(", static_cast<int>(r->code), ")");
      if (const auto* d = std::get_if<wire::ShmDetachResponse>(&one)) out += concat("detach(", static_cast<int>(d->code), ")");
      if (const auto* v = std::get_if<wire::ShmLeaseRevoked>(&one))
        out += concat("revoked(", v->stream_id, ",c", v->client_id, ",", static_cast<int>(v->reason), ")");
      if (std::get_if<wire::ShmDriverShutdown>(&one)) out += "shutdown";
      if (const auto* c = std::get_if<wire::ConsumerConfig>(&one))
        out += concat("config(", c->stream_id, ",c", c->consumer_id, ",", c->descriptor_stream_id, ",", c->control_stream_id, ")");
    }
    return out;
  }

  std::vector<Heard> heard;
  control::DispatchCounts counts;
  std::function<void()> while_full;

 private:
  std::shared_ptr<transport::Connection> connection_;
  std::shared_ptr<transport::Subscription> control_in_;
  std::shared_ptr<transport::Subscription> announce_in_;
  std::shared_ptr<transport::Publication> control_out_;
};

// What the library logs meanwhile.
class LogCapture {
 public:
  LogCapture() {
    set_log_sink([lines = lines_](LogLevel level, std::string_view role,
                                  std::string_view text) { lines->push_back({level, concat(role, ": ", text)}); },
                 LogLevel::kTrace);
  }
  ~LogCapture() { set_log_sink({}, LogLevel::kInfo); }
  bool has(std::string_view part) const { return count(part) > 0; }
  size_t count(std::string_view part) const {
    size_t n = 0;
    for (const auto& [level, text] : *lines_) n += text.find(part) != std::string::npos;
    return n;
  }
  std::string all() const {
    std::string out;
    for (const auto& [level, text] : *lines_) out += text + "\n";
    return out;
  }

 private:
  std::shared_ptr<std::vector<std::pair<LogLevel, std::string>>> lines_ =
      std::make_shared<std::vector<std::pair<LogLevel, std::string>>>();
};

}  // namespace tidepool::driver::testing

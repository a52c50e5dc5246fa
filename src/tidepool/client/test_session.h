#pragma once
// For tests of this layer: sessions that hold a lease, on a stage (test_stage.h).

#include <gtest/gtest.h>

#include <memory>

#include "tidepool/client/test_stage.h"

namespace tidepool::client::testing {

using wire::ShmAttachRequest;
using wire::ShmDetachRequest;
using wire::ShmLeaseKeepalive;

inline uint32_t client_id_of(const FakePort& port) { return port.all<wire::ShmAttachRequest>().back().client_id; }

// A session that holds a lease on a fresh epoch.
template <typename SessionType, typename Options>
struct HeldSessionTest : ::testing::Test {
  HeldSessionTest() {
    stage.t += kNsPerMs;
    regions = stage.make_epoch(100);
    session = stage.enter<SessionType>(Options{});
    client_id = client_id_of(stage.port);
    session->on(stage.grant(regions), stage.now());
    attachment = session->handover()->take(generation);
    EXPECT_NE(attachment.map, nullptr);
  }
  Handover& link() { return *session->handover(); }
  // What the application would work with now.
  std::shared_ptr<pool::EpochMap> map() { return link().take(generation).map; }

  Stage stage;
  pool::EpochRegions regions;
  std::unique_ptr<SessionType> session;
  uint32_t client_id = 0;
  uint64_t generation = 0;
  Attachment attachment;
};
struct ProducerSessionTest : HeldSessionTest<ProducerSession, ProducerOptions> {};
struct ConsumerSessionTest : HeldSessionTest<ConsumerSession, ConsumerOptions> {
  void hear(const wire::ShmPoolAnnounce& announce) { session->on(announce, 0, stage.now()); }
  void pass_announced(uint64_t ns, const pool::EpochRegions& current) { stage.pass_announced(*session, ns, current); }
};

}  // namespace tidepool::client::testing

#include "tidepool/transport/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/transport/media_driver.h"
#include "tidepool/transport/test_media_driver.h"
#include "tidepool/transport/test_udp.h"

namespace tidepool::transport {
namespace {

using ::testing::AllOf;
using testing::connection_options;
using testing::driver_options;
using ::testing::ElementsAre;
using testing::free_udp_port;
using ::testing::HasSubstr;
using testing::poll_until;
using testing::TestDir;
using testing::TestMediaDriver;

constexpr const char* kIpc = "aeron:ipc?term-length=1m";

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Sends until it is taken; what a publisher does that may wait.
SendResult send_soon(Connection& connection, Publication& publication, Bytes message) {
  SendResult result = SendResult::kError;
  EXPECT_TRUE(poll_until([&] {
    connection.poll();
    result = publication.send(message);
    return result != SendResult::kNotConnected && result != SendResult::kBackPressured && result != SendResult::kAdminAction;
  }));
  return result;
}

// One suite for both kinds of channel (S-25).
class ChannelTest : public ::testing::TestWithParam<const char*> {
 protected:
  ChannelTest()
      : channel_(std::string(GetParam()) == "ipc" ? kIpc
                                                  : concat("aeron:udp?endpoint=127.0.0.1:", free_udp_port(), "|term-length=1m")) {}

  void connect() {
    publication_ = connection_->add_publication(channel_, 7);
    subscription_ = connection_->add_subscription(channel_, 7);
    ASSERT_TRUE(poll_until([&] {
      connection_->poll();
      return publication_->connected() && subscription_->connected();
    }));
  }
  std::vector<std::string> receive(size_t count) {
    std::vector<std::string> got;
    EXPECT_TRUE(poll_until([&] {
      connection_->poll();
      subscription_->poll([&](Bytes message, const MessageInfo&) { got.push_back(text_of(message)); }, 10);
      return got.size() >= count;
    }));
    return got;
  }

  TestMediaDriver driver_;
  std::shared_ptr<Connection> connection_ = driver_.connect();
  std::string channel_;
  std::shared_ptr<Publication> publication_;
  std::shared_ptr<Subscription> subscription_;
};

INSTANTIATE_TEST_SUITE_P(Transport, ChannelTest, ::testing::Values("ipc", "udp"),
                         [](const auto& channel) { return std::string(channel.param); });

TEST_P(ChannelTest, DeliversEachMessageOnceAndInOrder) {
  connect();
  std::vector<std::string> sent;
  for (int i = 0; i < 20; ++i) {
    sent.push_back("message " + std::to_string(i));
    ASSERT_EQ(send_soon(*connection_, *publication_, bytes_of(sent.back())), SendResult::kOk);
  }
  EXPECT_EQ(receive(sent.size()), sent);
  EXPECT_EQ(publication_->channel(), channel_);
  EXPECT_EQ(publication_->stream_id(), 7);
  EXPECT_EQ(subscription_->channel(), channel_);
  EXPECT_EQ(subscription_->stream_id(), 7);
}

TEST_P(ChannelTest, ReassemblesAMessageOfManyFragments) {  // D-5, W-12
  connect();
  std::string big(100'000, '\0');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 31 + i / 251);
  ASSERT_GT(big.size(), publication_->max_payload_bytes());
  ASSERT_EQ(send_soon(*connection_, *publication_, bytes_of(big)), SendResult::kOk);
  ASSERT_EQ(send_soon(*connection_, *publication_, bytes_of("after")), SendResult::kOk);
  EXPECT_THAT(receive(2), ElementsAre(big, "after"));
}

TEST_P(ChannelTest, CountsFragmentsAgainstThePollLimitAndDeliversWholeMessagesOnly) {  // D-5
  connect();
  const std::string two_fragments(publication_->max_payload_bytes() + 1, 'x');
  ASSERT_EQ(send_soon(*connection_, *publication_, bytes_of(two_fragments)), SendResult::kOk);
  size_t delivered = 0;
  int fragments = 0;
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    fragments += subscription_->poll([&](Bytes message, const MessageInfo&) { delivered += message.size(); }, 1);
    return fragments == 1;
  }));
  EXPECT_EQ(delivered, 0u);
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    fragments += subscription_->poll([&](Bytes message, const MessageInfo&) { delivered += message.size(); }, 1);
    return fragments == 2;
  }));
  EXPECT_EQ(delivered, two_fragments.size());
}

TEST_P(ChannelTest, DeliversAnEmptyMessage) {
  connect();
  ASSERT_EQ(send_soon(*connection_, *publication_, {}), SendResult::kOk);
  EXPECT_THAT(receive(1), ElementsAre(""));
}

TEST_P(ChannelTest, WritesAMessageInPlace) {  // W-53
  connect();
  const size_t most = publication_->max_payload_bytes();
  for (const size_t size : {size_t{48}, most}) {
    SendResult result = SendResult::kError;
    ASSERT_TRUE(poll_until([&] {
      connection_->poll();
      result = publication_->send_in_place(size, [&](MutableBytes out) {
        EXPECT_EQ(out.size(), size);
        std::memset(out.data(), 'p', out.size());
      });
      return result == SendResult::kOk;
    })) << name_of(result);
  }
  EXPECT_THAT(receive(2), ElementsAre(std::string(48, 'p'), std::string(most, 'p')));
}

TEST_P(ChannelTest, SaysNotConnectedWithoutASubscriber) {  // W-53
  publication_ = connection_->add_publication(channel_, 7);
  EXPECT_FALSE(publication_->connected());
  EXPECT_EQ(publication_->send(bytes_of("anybody?")), SendResult::kNotConnected);
  bool filled = false;
  EXPECT_EQ(publication_->send_in_place(48, [&](MutableBytes) { filled = true; }), SendResult::kNotConnected);
  EXPECT_FALSE(filled);
}

TEST_P(ChannelTest, RefusesWhatIsLongerThanTheChannelTakes) {  // D-5, W-12
  connect();
  ASSERT_EQ(publication_->max_message_bytes(), (1u << 20) / 8);
  const std::string most(publication_->max_message_bytes(), 'm');
  EXPECT_EQ(publication_->send(bytes_of(most + "!")), SendResult::kTooLong);
  EXPECT_EQ(publication_->send_in_place(publication_->max_payload_bytes() + 1, [](MutableBytes) { FAIL(); }), SendResult::kTooLong);
  ASSERT_EQ(send_soon(*connection_, *publication_, bytes_of(most)), SendResult::kOk);
  EXPECT_THAT(receive(1), ElementsAre(most));
}

TEST_P(ChannelTest, TellsImageHandlersWhichSessionComesAndGoes) {  // W-56
  publication_ = connection_->add_publication(channel_, 7);
  std::vector<int32_t> came;
  std::vector<int32_t> went;
  subscription_ = connection_->add_subscription(
      channel_, 7, [&](int32_t session) { came.push_back(session); }, [&](int32_t session) { went.push_back(session); });
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    return !came.empty();
  }));
  EXPECT_THAT(came, ElementsAre(publication_->session_id()));
  EXPECT_EQ(subscription_->image_count(), 1);
  ASSERT_EQ(send_soon(*connection_, *publication_, bytes_of("who?")), SendResult::kOk);
  int32_t heard_from = 0;
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    return subscription_->poll([&](Bytes, const MessageInfo& info) { heard_from = info.session_id; }, 1) == 1;
  }));
  EXPECT_EQ(heard_from, publication_->session_id());

  const int32_t session = publication_->session_id();
  publication_.reset();
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    subscription_->poll([](Bytes, const MessageInfo&) {}, 1);
    return !went.empty();
  }));
  EXPECT_THAT(went, ElementsAre(session));
  EXPECT_EQ(subscription_->image_count(), 0);
  EXPECT_FALSE(subscription_->connected());
}

TEST_P(ChannelTest, NeverBlocksOnASubscriberThatDoesNotPoll) {  // W-53, D-6
  connect();
  const std::string message(1'000, 'b');
  uint64_t taken = 0;
  SendResult last = SendResult::kOk;
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    last = publication_->send(bytes_of(message));
    if (last == SendResult::kOk) ++taken;
    return last == SendResult::kBackPressured;
  }));
  EXPECT_GT(taken, 0u);
  // What was taken is there, and room comes back when it is read.
  uint64_t got = 0;
  ASSERT_TRUE(poll_until([&] {
    connection_->poll();
    subscription_->poll([&](Bytes, const MessageInfo&) { ++got; }, 100);
    return got == taken;
  }));
  EXPECT_EQ(send_soon(*connection_, *publication_, bytes_of(message)), SendResult::kOk);
}

TEST_P(ChannelTest, HearsItsOwnMessages) {  // W-94: publisher and subscriber are one client
  connect();
  ASSERT_EQ(send_soon(*connection_, *publication_, bytes_of("to myself")), SendResult::kOk);
  EXPECT_THAT(receive(1), ElementsAre("to myself"));
}

TEST_P(ChannelTest, WorksOnAeronsOwnThreadToo) {
  auto options = connection_options(driver_.dir());
  options.invoker = false;
  connection_ = Connection::open(options);
  std::atomic<int> came{0};
  publication_ = connection_->add_publication(channel_, 7);
  subscription_ = connection_->add_subscription(channel_, 7, [&](int32_t) { ++came; });
  ASSERT_EQ(send_soon(*connection_, *publication_, bytes_of("no poll")), SendResult::kOk);
  EXPECT_THAT(receive(1), ElementsAre("no poll"));
  // Aeron's thread shows the image first, and tells of it then.
  EXPECT_TRUE(poll_until([&] { return came.load() == 1; }));
  EXPECT_EQ(connection_->poll(), 0);
}

class ConnectionTest : public ::testing::Test {
 protected:
  TestMediaDriver driver_;
};

TEST_F(ConnectionTest, UntetheredSubscriberThatStallsStopsNobodyForLong) {  // W-53, P-6
  auto connection = driver_.connect();
  auto publication = connection->add_publication(kIpc, 7);
  auto stalled = connection->add_subscription(with_parameter(kIpc, "tether", "false"), 7);
  auto good = connection->add_subscription(kIpc, 7);
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    return stalled->connected() && good->connected() && publication->connected();
  }));
  // Several times what the log's window holds: only possible when the stalled one no longer counts.
  const std::string message(1'000, 'u');
  constexpr uint64_t kMessages = 4 * (1 << 20) / 1'000;
  uint64_t sent = 0;
  uint64_t got = 0;
  EXPECT_TRUE(poll_until([&] {
    connection->poll();
    if (sent < kMessages && publication->send(bytes_of(message)) == SendResult::kOk) ++sent;
    good->poll([&](Bytes, const MessageInfo&) { ++got; }, 10);
    return got == kMessages;
  })) << "sent "
      << sent << ", the other subscriber got " << got;
}

TEST_F(ConnectionTest, RefusesAChannelThatIsNone) {
  auto connection = driver_.connect();
  for (const char* channel : {"nonsense", "aeron:tcp?endpoint=localhost:1", "aeron:udp", "aeron:ipc?term-length=3", ""}) {
    try {
      connection->add_publication(channel, 42);
      FAIL() << channel;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kInvalidArgument) << e.what();
      EXPECT_THAT(e.what(), AllOf(HasSubstr("add publication"), HasSubstr(channel), HasSubstr("stream 42")));
      EXPECT_THAT(e.what(), ::testing::Not(HasSubstr("\n")));
    }
  }
  EXPECT_THROW(connection->add_subscription("nonsense", 42), Error);
  EXPECT_TRUE(connection->alive());
}

TEST_F(ConnectionTest, SaysWhyAnotherTermLengthIsRefused) {
  auto connection = driver_.connect();
  auto first = connection->add_publication("aeron:ipc?term-length=1m", 7);
  try {
    connection->add_publication("aeron:ipc?term-length=2m", 7);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kInvalidArgument);
    EXPECT_THAT(e.what(), AllOf(HasSubstr("term-length=2m"), HasSubstr("stream 7"), HasSubstr("1048576"),
                                HasSubstr("use the same channel text everywhere")));
  }
  auto joins = connection->add_publication("aeron:ipc", 7);  // without the parameter: whatever there is
  EXPECT_EQ(joins->max_message_bytes(), first->max_message_bytes());
}

TEST_F(ConnectionTest, MakesAPublicationWithoutWaitingForIt) {  // DS-32
  auto connection = driver_.connect();
  auto subscription = connection->add_subscription(kIpc, 7);
  auto pending = connection->start_publication(kIpc, 7);
  std::shared_ptr<Publication> publication;
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    if (publication == nullptr) publication = pending->poll();
    return publication != nullptr && publication->connected();
  }));
  EXPECT_EQ(pending->poll(), nullptr) << "once";
  EXPECT_EQ(publication->channel(), kIpc);
  EXPECT_EQ(publication->send(bytes_of("here")), SendResult::kOk);
}

TEST_F(ConnectionTest, SaysWhyAPublicationThatWasNotWaitedForIsRefused) {  // DS-32
  auto connection = driver_.connect();
  auto pending = connection->start_publication("aeron:udp?mtu=1408", 7);
  std::string why;
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    try {
      EXPECT_EQ(pending->poll(), nullptr);
    } catch (const Error& error) {
      why = error.what();
    }
    return !why.empty();
  }));
  EXPECT_THAT(why, AllOf(HasSubstr("add publication aeron:udp?mtu=1408 stream 7"), HasSubstr("endpoint=HOST:PORT")));
  EXPECT_EQ(pending->poll(), nullptr) << "spent";
  // One that nobody waits for any longer does no harm.
  connection->start_publication(kIpc, 8).reset();
  EXPECT_NE(connection->add_publication(kIpc, 8), nullptr);
}

TEST_F(ConnectionTest, RefusesToAddInsideAnImageHandler) {
  for (const bool invoker : {true, false}) {
    auto options = connection_options(driver_.dir());
    options.invoker = invoker;
    auto connection = Connection::open(options);
    std::atomic<bool> refused{false};
    auto publication = connection->add_publication(kIpc, 7);
    auto subscription = connection->add_subscription(kIpc, 7, [&](int32_t) {
      EXPECT_EQ(connection->poll(), 0);
      EXPECT_THROW(connection->add_subscription(kIpc, 8), Error);
      try {
        connection->add_publication(kIpc, 8);
      } catch (const Error& e) {
        refused = e.code() == Code::kInvalidArgument;
        throw;  // and a handler that throws harms nobody
      }
    });
    EXPECT_TRUE(poll_until([&] {
      connection->poll();
      return refused.load();
    }));
    EXPECT_TRUE(connection->alive());
  }
}

TEST_F(ConnectionTest, CallsNoImageHandlerOfASubscriptionThatIsGone) {
  auto connection = driver_.connect();
  auto publication = connection->add_publication(kIpc, 7);
  int calls = 0;
  auto other = connection->add_subscription(kIpc, 7);
  auto subscription = connection->add_subscription(kIpc, 7, [&](int32_t) { ++calls; }, [&](int32_t) { ++calls; });
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    return calls == 1;
  }));
  subscription.reset();
  publication.reset();
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    other->poll([](Bytes, const MessageInfo&) {}, 1);
    return other->image_count() == 0;
  }));
  EXPECT_EQ(calls, 1);
}

TEST_F(ConnectionTest, LetsAHandlerReleaseItsOwnSubscription) {
  auto connection = driver_.connect();
  auto publication = connection->add_publication(kIpc, 7);
  std::shared_ptr<Subscription> subscription;
  bool came = false;
  subscription = connection->add_subscription(kIpc, 7, {}, [&](int32_t) {
    subscription.reset();
    came = true;
  });
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    return subscription->connected();
  }));
  publication.reset();
  EXPECT_TRUE(poll_until([&] {
    connection->poll();
    return came;
  }));
  connection->poll();
  EXPECT_TRUE(connection->alive());
}

TEST_F(ConnectionTest, LetsGoOfWhatHandlersOwnWithTheirSubscription) {
  for (const bool driver_dies : {false, true}) {
    auto connection = driver_.connect();
    const std::weak_ptr<Connection> watch = connection;
    auto publication = connection->add_publication(kIpc, 7);
    // Handlers that own their connection: a subscription that was let go of must not keep it alive.
    auto subscription = connection->add_subscription(kIpc, 7, [connection](int32_t) {}, [connection](int32_t) {});
    if (driver_dies) {
      driver_.stop();
      ASSERT_TRUE(poll_until([&] {
        connection->poll();
        return !connection->alive();
      }));
    }
    subscription.reset();
    publication.reset();
    connection.reset();
    EXPECT_TRUE(watch.expired());
  }
}

TEST_F(ConnectionTest, GivesBackWhatOtherThreadsReleasedAtItsNextPoll) {
  auto connection = driver_.connect();
  int images = 0;
  auto subscription = connection->add_subscription(kIpc, 7, [&](int32_t) { ++images; }, [&](int32_t) { --images; });
  auto publication = connection->add_publication(kIpc, 7);
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    return images == 1;
  }));
  std::thread([&] { publication.reset(); }).join();
  EXPECT_EQ(images, 1);
  EXPECT_TRUE(poll_until([&] {
    connection->poll();
    subscription->poll([](Bytes, const MessageInfo&) {}, 1);
    return images == 0;
  }));
}

TEST_F(ConnectionTest, OutlivesItsLastCallerOnAnyThread) {
  for (const bool invoker : {true, false}) {
    auto options = connection_options(driver_.dir());
    options.invoker = invoker;
    auto connection = Connection::open(options);
    auto publication = connection->add_publication(kIpc, 7);
    auto subscription = connection->add_subscription(kIpc, 7);
    connection.reset();  // its children keep it
    EXPECT_FALSE(publication->closed());
    std::thread([p = std::move(publication)]() mutable { p.reset(); }).join();
    std::thread([s = std::move(subscription)]() mutable { s.reset(); }).join();
  }
}

TEST_F(ConnectionTest, ReleasesAndAddsWhileOtherThreadsSendAndPoll) {
  for (const bool invoker : {true, false}) {
    auto options = connection_options(driver_.dir());
    options.invoker = invoker;
    auto connection = Connection::open(options);
    auto publication = connection->add_publication(kIpc, 7);
    auto subscription = connection->add_subscription(kIpc, 7);
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> got{0};
    std::thread sender([&] {
      while (!stop) publication->send(bytes_of("busy"));
    });
    std::thread poller([&] {
      while (!stop) subscription->poll([&](Bytes, const MessageInfo&) { ++got; }, 10);
    });
    for (int i = 0; i < 20; ++i) {
      auto p = connection->add_publication(kIpc, 7);
      auto s = connection->add_subscription(kIpc, 7);
      std::thread release([&] {
        p.reset();
        s.reset();
      });
      connection->poll();
      release.join();
    }
    EXPECT_TRUE(poll_until([&] {
      connection->poll();
      return got > 0;
    }));
    stop = true;
    sender.join();
    poller.join();
    EXPECT_TRUE(connection->alive()) << connection->failure();
  }
}

// ---- the media driver goes ------------------------------------------------------------------------------------------------

TEST_F(ConnectionTest, NoticesThatItsMediaDriverHasStopped) {
  for (const bool invoker : {true, false}) {
    auto options = connection_options(driver_.dir());
    options.invoker = invoker;
    auto connection = Connection::open(options);
    auto publication = connection->add_publication(kIpc, 7);
    auto subscription = connection->add_subscription(kIpc, 7);
    ASSERT_EQ(send_soon(*connection, *publication, bytes_of("while it lives")), SendResult::kOk);
    EXPECT_TRUE(connection->alive());
    EXPECT_EQ(connection->failure(), "");
    driver_.stop();
    ASSERT_TRUE(poll_until([&] {
      connection->poll();
      return !connection->alive();
    }));
    EXPECT_TRUE(poll_until([&] { return publication->closed() && subscription->closed(); }));
    EXPECT_THAT(connection->failure(), HasSubstr("MediaDriver"));
    EXPECT_EQ(publication->send(bytes_of("too late")), SendResult::kClosed);
    EXPECT_EQ(publication->send_in_place(8, [](MutableBytes) { FAIL(); }), SendResult::kClosed);
    EXPECT_FALSE(publication->connected());
    EXPECT_EQ(subscription->poll([](Bytes, const MessageInfo&) {}, 10), 0);
    EXPECT_FALSE(subscription->connected());
    EXPECT_EQ(connection->poll(), 0);
    try {
      connection->add_publication(kIpc, 7);
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kUnavailable) << e.what();
    }
    driver_.start();
  }
}

TEST_F(ConnectionTest, SurvivesTheEndOfItsMediaDriverWhileThreadsSendAndPoll) {
  for (const bool invoker : {true, false}) {
    auto options = connection_options(driver_.dir());
    options.invoker = invoker;
    auto connection = Connection::open(options);
    auto publication = connection->add_publication(kIpc, 7);
    auto subscription = connection->add_subscription(kIpc, 7);
    std::atomic<uint64_t> sent{0};
    std::atomic<uint64_t> got{0};
    std::thread in_place([publication, &sent] {
      while (publication->send_in_place(48, [](MutableBytes out) { std::memset(out.data(), 1, out.size()); }) !=
             SendResult::kClosed)
        ++sent;
    });
    std::thread fragmented([publication] {
      const std::string big(20'000, 'f');
      while (publication->send(bytes_of(big)) != SendResult::kClosed) {
      }
    });
    std::thread poller([subscription, &got] {
      while (!subscription->closed()) subscription->poll([&](Bytes, const MessageInfo&) { ++got; }, 10);
    });
    EXPECT_TRUE(poll_until([&] {
      connection->poll();
      return got > 10;
    }));
    publication.reset();  // the threads hold the rest
    subscription.reset();
    driver_.stop();
    EXPECT_TRUE(poll_until([&] {
      connection->poll();
      return !connection->alive();
    }));
    connection.reset();
    in_place.join();
    fragmented.join();
    poller.join();
    EXPECT_GT(sent, 0u);
    driver_.start();
  }
}

TEST_F(ConnectionTest, IsReplacedByANewOneOnANewMediaDriverInTheSameDirectory) {
  auto old = driver_.connect();
  auto old_publication = old->add_publication(kIpc, 7);
  driver_.stop();
  driver_.start();
  auto connection = driver_.connect();
  auto publication = connection->add_publication(kIpc, 7);
  auto subscription = connection->add_subscription(kIpc, 7);
  ASSERT_EQ(send_soon(*connection, *publication, bytes_of("again")), SendResult::kOk);
  std::string got;
  EXPECT_TRUE(poll_until([&] {
    connection->poll();
    return subscription->poll([&](Bytes message, const MessageInfo&) { got = text_of(message); }, 1) == 1;
  }));
  EXPECT_EQ(got, "again");
  EXPECT_TRUE(poll_until([&] {
    old->poll();
    return !old->alive();
  }));
  EXPECT_EQ(old_publication->send(bytes_of("lost")), SendResult::kClosed);
}

TEST(ConnectionOpenTest, SaysWhatToStartWhenThereIsNoMediaDriver) {
  const TestDir dir;
  try {
    Connection::open(connection_options(dir.aeron()));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kUnavailable);
    EXPECT_THAT(e.what(), AllOf(HasSubstr(dir.aeron()), HasSubstr("tidepool media-driver"), HasSubstr("--embedded")));
  }
}

TEST(ConnectionOpenTest, RefusesADamagedCncFileAtOnce) {
  const TestDir dir;
  std::filesystem::create_directory(dir.aeron());
  for (const size_t size : {size_t{0}, size_t{3}, size_t{128}, size_t{1} << 20}) {
    std::FILE* file = std::fopen((dir.aeron() + "/cnc.dat").c_str(), "w");
    const std::string rubbish(size, '\x5a');
    std::fwrite(rubbish.data(), 1, rubbish.size(), file);
    std::fclose(file);
    EXPECT_THROW(Connection::open(connection_options(dir.aeron())), Error) << size;
  }
}

TEST(ConnectionOpenTest, RefusesOptionsThatCannotBe) {
  const TestMediaDriver driver;
  auto options = connection_options(driver.dir());
  options.driver_timeout_ms = 0;
  EXPECT_THROW(Connection::open(options), Error);
  options = connection_options(driver.dir());
  options.client_name.assign(101, 'n');
  EXPECT_THROW(Connection::open(options), Error);
}

// A media driver in a process of its own, to be stopped or killed.
class DriverProcess {
 public:
  explicit DriverProcess(const std::string& dir) {
    int ready[2];
    if (::pipe(ready) != 0) throw std::runtime_error("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      try {
        const MediaDriver driver(driver_options(dir));
        if (::write(ready[1], "r", 1) == 1) {
          for (;;) ::pause();
        }
      } catch (const std::exception& e) {
        std::fprintf(stderr, "driver process: %s\n", e.what());
      }
      ::_exit(1);
    }
    ::close(ready[1]);
    char byte = 0;
    const ssize_t got = ::read(ready[0], &byte, 1);
    ::close(ready[0]);
    if (got != 1) throw std::runtime_error("the driver process did not start");
  }
  ~DriverProcess() { kill(SIGKILL); }
  DriverProcess(const DriverProcess&) = delete;
  DriverProcess& operator=(const DriverProcess&) = delete;
  void kill(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    // Signals take their time: wait until it is stopped, or gone.
    if (signal == SIGSTOP) ::waitpid(pid_, nullptr, WUNTRACED);
    if (signal == SIGKILL) {
      ::waitpid(pid_, nullptr, 0);
      pid_ = 0;
    }
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

TEST(ConnectionOpenTest, TellsADeadMediaDriverFromNone) {
  const TestDir dir;
  DriverProcess process(dir.aeron());
  const auto pid = process.pid();
  process.kill(SIGKILL);
  ASSERT_TRUE(poll_until([&] { return !media_driver_status(dir.aeron(), 50).alive; }));
  auto options = connection_options(dir.aeron());
  options.driver_timeout_ms = 50;
  try {
    Connection::open(options);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kUnavailable);
    EXPECT_THAT(e.what(), AllOf(HasSubstr(dir.aeron()), HasSubstr(std::to_string(pid)), HasSubstr("last heartbeat"),
                                HasSubstr("tidepool media-driver")));
  }
}

TEST(ConnectionDeathOfDriverTest, NoticesAKilledMediaDriverByItsSilence) {
  const TestDir dir;
  DriverProcess process(dir.aeron());
  auto options = connection_options(dir.aeron());
  options.driver_timeout_ms = 1'000;
  auto connection = Connection::open(options);
  auto publication = connection->add_publication(kIpc, 7);
  process.kill(SIGKILL);
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    return !connection->alive();
  }));
  EXPECT_THAT(connection->failure(), HasSubstr("keepalive"));
  EXPECT_EQ(publication->send(bytes_of("too late")), SendResult::kClosed);
  // The kernel lock shows the death at once, so the place is free for the next one; the dead client is no obstacle.
  const MediaDriver next(driver_options(dir.aeron()));
  auto again = Connection::open(connection_options(dir.aeron()));
  EXPECT_NE(again->add_publication(kIpc, 7), nullptr);
}

TEST(ConnectionDeathOfDriverTest, GivesUpAddingWhenTheMediaDriverDoesNotAnswer) {
  const TestDir dir;
  DriverProcess process(dir.aeron());
  auto options = connection_options(dir.aeron());
  options.add_timeout_ms = 50;
  for (const bool invoker : {true, false}) {
    options.invoker = invoker;
    auto connection = Connection::open(options);
    process.kill(SIGSTOP);
    try {
      connection->add_subscription(kIpc, 7, [](int32_t) {});
      ADD_FAILURE();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kTimeout);
      EXPECT_THAT(e.what(), AllOf(HasSubstr("stream 7"), HasSubstr("50 ms"), HasSubstr(dir.aeron())));
    }
    EXPECT_THROW(connection->add_publication(kIpc, 7), Error);
    process.kill(SIGCONT);
    // What was given up is given back: the connection goes on.
    std::shared_ptr<Publication> publication;
    EXPECT_TRUE(poll_until([&] {
      try {
        publication = connection->add_publication(kIpc, 7);
        return true;
      } catch (const Error&) {
        return false;
      }
    }));
  }
}

TEST(WithParameterTest, AddsAParameterOnceOnly) {
  EXPECT_EQ(with_parameter("aeron:udp?endpoint=h:?", "tether", "false"), "aeron:udp?endpoint=h:?|tether=false");
  EXPECT_EQ(with_parameter("aeron:ipc", "tether", "false"), "aeron:ipc?tether=false");
  EXPECT_EQ(with_parameter("aeron:ipc?term-length=4m", "tether", "false"), "aeron:ipc?term-length=4m|tether=false");
  EXPECT_EQ(with_parameter("aeron:ipc?tether=true", "tether", "false"), "aeron:ipc?tether=true");
  EXPECT_EQ(with_parameter("aeron:udp?endpoint=h:1|tether=true|mtu=8k", "tether", "false"),
            "aeron:udp?endpoint=h:1|tether=true|mtu=8k");
  EXPECT_EQ(with_parameter("aeron:ipc?untether=x", "tether", "false"), "aeron:ipc?untether=x|tether=false");
  EXPECT_EQ(with_parameter("aeron:ipc?", "tether", "false"), "aeron:ipc?tether=false");
}

TEST(SendResultTest, HasANameForEachValue) {
  std::vector<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(SendResult::kError); ++i) names.push_back(name_of(static_cast<SendResult>(i)));
  EXPECT_THAT(names, ElementsAre("ok", "not connected", "back pressured", "admin action", "closed", "max position exceeded",
                                 "too long", "error"));
}

}  // namespace
}  // namespace tidepool::transport

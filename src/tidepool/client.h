#pragma once
// The one header of a program that produces or consumes: everything below under the name tidepool::.

#include "tidepool/base/error.h"
#include "tidepool/client/client.h"
#include "tidepool/client/discovery.h"

namespace tidepool {

using client::Blob;
using client::Client;
using client::ClientCounters;
using client::ClientOptions;
using client::ClockDomain;
using client::Consumer;
using client::ConsumerOptions;
using client::ConsumerStreamPolicy;
using client::DataSource;
using client::DiscoveredStream;
using client::DiscoveryAnswer;
using client::DiscoveryClient;
using client::DiscoveryOptions;
using client::DiscoveryQuery;
using client::Endpoint;
using client::Follow;
using client::FrameInfo;
using client::Metadata;
using client::OwnPools;
using client::PollResult;
using client::Producer;
using client::ProducerOptions;
using client::ProgressResult;
using client::ProgressView;
using client::SlotBuffers;
using client::State;
using client::StateChange;
using client::StreamQos;
using client::Tensor;
using pool::Claim;
using pool::ClaimError;
using pool::CommitResult;
using pool::FrameView;
using wire::DType;
using wire::MajorOrder;

}  // namespace tidepool

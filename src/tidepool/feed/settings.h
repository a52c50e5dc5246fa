#pragma once
// What can be changed of a feed that exists: its settings, from the next chunk on (F-10), and its schema, by adding to it (F-18).

#include <string>

#include "tidepool/feed/registry.h"

namespace tidepool::feed {

// `options` are in force from the next chunk on, also for a writer that is at work. False: they are the feed's already. Throws
// FeedError kImmutable for another storage or shm_root, kInvalidSize, kUsage, kFeedNotFound, kRegistryBusy.
bool change_feed(const std::string& base, const std::string& name, const FeedOptions& options, Files& files = Files::system());

// `schema` is what the next writer writes, in a chunk of its own; older chunks stay as they are. False: it is the feed's already.
// Throws FeedError kSchemaConflict with what is forbidden, line by line: fields may be added behind the last one, and values to
// enums, and nothing else; kWriterBusy while somebody writes; kInvalidSize.
bool evolve_feed(const std::string& base, const std::string& name, const Schema& schema, Files& files = Files::system());

}  // namespace tidepool::feed

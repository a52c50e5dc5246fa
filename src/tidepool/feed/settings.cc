#include "tidepool/feed/settings.h"

#include "tidepool/base/clock.h"
#include "tidepool/feed/blob.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

// The feed's own registry says so too: that is where its writer and readers look (F-80).
void tell(const FeedInfo& feed, std::string_view what, Files& files) {
  FeedRecord record;
  record.type = FeedEntry::kSettingsChanged;
  record.schema_id = feed.schema_id;
  record.monotonic_ns = monotonic_ns();
  record.text = what;
  FeedRegistry::open(feed, files, true).append(record, true);
}

}  // namespace

bool change_feed(const std::string& base, const std::string& name, const FeedOptions& options, Files& files) {
  check_feed_name(name);
  GlobalRegistry::open(base, files);  // before a lock file is made where there is no base
  const shm::FileLock lock = lock_within(base, "registry.lock", "a change of the registry", kLockTimeoutNs, Fault::kRegistryBusy);
  settle_global(base, files);
  FeedInfo feed = find_feed(base, name, files);
  if (options.storage != feed.options.storage) {
    throw FeedError(Fault::kImmutable, "feed ", name, " is ", storage_name(feed.options.storage), " for ever, and cannot become ",
                    storage_name(options.storage), ": export it and import it into another");
  }
  if (options.shm_root != feed.options.shm_root) {
    throw FeedError(Fault::kImmutable, "the live objects of feed ", name, " are below ", feed.options.shm_root,
                    " for ever: export it and import it into another");
  }
  if (options == feed.options) return false;
  check_options(feed.schema, options);
  feed.options = options;
  write_changed(base, feed, files);
  tell(feed, "settings", files);
  return true;
}

bool evolve_feed(const std::string& base, const std::string& name, const Schema& schema, Files& files) {
  check_feed_name(name);
  GlobalRegistry::open(base, files);
  const shm::FileLock lock = lock_within(base, "registry.lock", "a change of the registry", kLockTimeoutNs, Fault::kRegistryBusy);
  settle_global(base, files);
  FeedInfo feed = find_feed(base, name, files);
  if (feed.schema.hash() == schema.hash() && feed.schema.differences(schema).empty()) return false;
  auto lines = feed.schema.forbidden_changes(schema);
  if (blob_columns(schema).size() != blob_columns(feed.schema).size()) lines.push_back("blob columns cannot be added later");
  if (!lines.empty()) {
    std::string text;
    for (const std::string& line : lines) text += "\n  " + line;
    throw FeedError(Fault::kSchemaConflict, "the schema of feed ", name, " cannot become that one; make a new feed:", text);
  }
  check_options(schema, feed.options);
  const shm::FileLock writer = lock_within(feed.directory, "writer.lock", "a new version of the schema", 0, Fault::kWriterBusy);
  // The file first: a version that the registry names is there. One that it does not name is written over by the next try.
  feed.schema = schema;
  feed.schema_hash = schema.hash();
  feed.record_bytes = schema.record_bytes();
  ++feed.schema_id;
  write_file_atomically(files, feed.directory, schema_file_name(feed.schema_id), schema.encode(), feed.options.file_mode);
  write_changed(base, feed, files);
  tell(feed, "schema", files);
  return true;
}

}  // namespace tidepool::feed

#include "tidepool/cli/feed/dataset_manifest.h"

#include <cstring>
#include <fstream>

#include "tidepool/base/clock.h"

namespace tidepool::cli {
namespace {

using nlohmann::ordered_json;
constexpr uint64_t kFormatVersion = 1;

ordered_json interval_json(const feed::Interval& interval) {
  return {{"start_ns", interval.from}, {"end_ns", interval.to}, {"duration_ns", interval.duration()}};
}

feed::Interval interval_of(const ordered_json& from) {
  const feed::Interval interval{from.at("start_ns").get<uint64_t>(), from.at("end_ns").get<uint64_t>()};
  if (interval.from > interval.to) throw std::invalid_argument("an interval ends before it begins");
  return interval;
}

feed::Id id_of(const std::string& text) {
  if (text.size() != 32) throw std::invalid_argument("an id has 32 digits");
  feed::Id id{};
  for (size_t i = 0; i < id.size(); ++i) {
    size_t used = 0;
    id[i] = static_cast<std::byte>(std::stoul(text.substr(2 * i, 2), &used, 16));
    if (used != 2) throw std::invalid_argument("an id is written in hexadecimal");
  }
  return id;
}

ordered_json content_json(const feed::WindowContent& content) {
  return {{"feed", content.feed},
          {"base_id", feed::hex(content.base_id)},
          {"feed_id", feed::hex(content.feed_id)},
          {"first_seq", content.first_seq},
          {"end_seq", content.end_seq},
          {"records", content.records},
          {"bytes", content.bytes},
          {"first_epoch", content.first_epoch},
          {"last_epoch", content.last_epoch},
          {"crc32c", content.crc},
          {"gaps", content.gaps.size()}};
}

feed::WindowContent content_of(const ordered_json& from) {
  feed::WindowContent content;
  content.feed = from.at("feed").get<std::string>();
  content.base_id = id_of(from.at("base_id").get<std::string>());
  content.feed_id = id_of(from.at("feed_id").get<std::string>());
  content.first_seq = from.at("first_seq").get<uint64_t>();
  content.end_seq = from.at("end_seq").get<uint64_t>();
  content.records = from.at("records").get<uint64_t>();
  content.bytes = from.at("bytes").get<uint64_t>();
  content.first_epoch = from.at("first_epoch").get<uint64_t>();
  content.last_epoch = from.at("last_epoch").get<uint64_t>();
  content.crc = from.at("crc32c").get<uint32_t>();
  return content;
}

ordered_json split_json(const feed::Split& split) {
  ordered_json out = {{"train", ordered_json::array()}, {"validation", interval_json(split.validation)}};
  for (const feed::Interval& interval : split.train) out["train"].push_back(interval_json(interval));
  return out;
}

bool single(const DatasetManifest& manifest) { return manifest.sources.size() == 1 && manifest.sources.front().alias.empty(); }

std::string ref_text(const feed::FeedRef& ref) { return ref.clock.empty() ? ref.text() : concat(ref.text(), "@", ref.clock); }

DatasetManifest parse(const ordered_json& json) {
  DatasetManifest manifest;
  if (json.contains("base_path")) {
    manifest.sources.push_back({"", json.at("base_path").get<std::string>()});
    for (const auto& text : json.at("feeds"))
      manifest.refs.push_back(feed::parse_feed_ref(text.get<std::string>(), manifest.sources));
  } else {
    for (const auto& [alias, path] : json.at("sources").items()) manifest.sources.push_back({alias, path.get<std::string>()});
    for (const auto& text : json.at("feed_refs"))
      manifest.refs.push_back(feed::parse_feed_ref(text.get<std::string>(), manifest.sources));
  }
  manifest.status_filter = json.at("status_filter").get<std::string>();
  for (const auto& from : json.at("intervals")) {
    DatasetManifest::Window window{interval_of(from), {}};
    if (from.contains("content")) {
      for (const auto& content : from.at("content")) window.content.push_back(content_of(content));
    }
    manifest.windows.push_back(std::move(window));
  }
  return manifest;
}

}  // namespace

ordered_json manifest_json(const DatasetManifest& manifest, const feed::Dataset& dataset) {
  ordered_json out = {{"format_version", kFormatVersion}, {"created_at_us", realtime_ns() / kNsPerUs}};
  ordered_json refs = ordered_json::array();
  for (const feed::FeedRef& ref : manifest.refs) refs.push_back(ref_text(ref));
  if (single(manifest)) {
    out["base_path"] = manifest.sources.front().base;
    out["feeds"] = std::move(refs);
  } else {
    out["mode"] = "multi_source";
    out["sources"] = ordered_json::object();
    for (const feed::FeedSource& source : manifest.sources) out["sources"][source.alias] = source.base;
    out["feed_refs"] = std::move(refs);
  }
  out["status_filter"] = manifest.status_filter;
  out["intervals"] = ordered_json::array();
  for (const DatasetManifest::Window& window : manifest.windows) {
    ordered_json one = interval_json(window.interval);
    if (!window.content.empty()) {
      one["content"] = ordered_json::array();
      for (const feed::WindowContent& content : window.content) one["content"].push_back(content_json(content));
    }
    out["intervals"].push_back(std::move(one));
  }
  out["recommended"] = nullptr;
  if (manifest.recommended) {
    out["recommended"] = split_json(*manifest.recommended);
    out["recommended"]["train_ratio"] = manifest.ratio;
  }
  if (!manifest.folds.empty()) {
    out["folds"] = ordered_json::array();
    for (const feed::Split& fold : manifest.folds) out["folds"].push_back(split_json(fold));
  }
  ordered_json remarks = ordered_json::array();
  for (const feed::DatasetFeed& feed : dataset.feeds) {
    for (const std::string& remark : feed.remarks) remarks.push_back(concat(feed.ref.text(), ": ", remark));
  }
  out["remarks"] = std::move(remarks);
  return out;
}

DatasetManifest read_manifest(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw feed::FeedError(feed::fault_of_errno(errno), "read ", path, errno_text());
  const auto refuse = [&](std::string_view why) {
    return feed::FeedError(feed::Fault::kCorrupt, path, " is no manifest of a dataset: ", why);
  };
  uint64_t version = 0;
  ordered_json json;
  try {
    json = ordered_json::parse(file);
    version = json.at("format_version").get<uint64_t>();
  } catch (const std::exception& error) {
    throw refuse(error.what());
  }
  if (version != kFormatVersion)
    throw feed::FeedError(feed::Fault::kUnsupportedVersion, path, " has format_version ", version, ", this program knows ",
                          kFormatVersion);
  try {
    return parse(json);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw refuse(error.what());
  }
}

void write_manifest(const std::string& path, const ordered_json& manifest) {
  const std::string text = manifest.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  const auto slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  feed::write_file_atomically(feed::Files::system(), directory, name, std::as_bytes(std::span(text)), 0644);
}

}  // namespace tidepool::cli

#pragma once
// The manifest of a dataset (F-118): upstream's keys (format_version, created_at_us, base_path or mode and sources, feeds or
// feed_refs, status_filter, intervals, recommended), and what makes it checkable later: ids, epochs, record numbers, checksums.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tidepool/feed/dataset.h"

namespace tidepool::cli {

struct DatasetManifest {
  struct Window {
    feed::Interval interval;
    std::vector<feed::WindowContent> content;  // one for each feed; empty: not looked at
  };
  std::vector<feed::FeedSource> sources;  // one with an empty alias: a single base
  std::vector<feed::FeedRef> refs;
  std::string status_filter = "usable";
  std::vector<Window> windows;
  std::optional<feed::Split> recommended;
  double ratio = 0.8;
  std::vector<feed::Split> folds;
};

nlohmann::ordered_json manifest_json(const DatasetManifest& manifest, const feed::Dataset& dataset);
// Throws FeedError kCorrupt for what is no manifest, naming what is wrong, kUnsupportedVersion for a newer one.
DatasetManifest read_manifest(const std::string& path);
// Whole or not at all.
void write_manifest(const std::string& path, const nlohmann::ordered_json& manifest);

}  // namespace tidepool::cli

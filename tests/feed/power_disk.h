#pragma once
// A disk whose power fails. It knows what a power cut leaves for certain, and leaves any part of the rest:
//  - of a file the bytes that were there when its last successful sync began; of what was written later, any pages;
//  - of a directory the names that were there when it was last synced; of what was made, renamed and removed in it later, the first
//    so many changes (a journal keeps their order). The sync of a file makes no name durable.
// Locks and what lies in shared memory are not its business: they are gone.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/feed/file_seam.h"

namespace tidepool::feed::test {

class PowerDisk : public SystemFiles {
 public:
  // All that is below `root` now is durable.
  explicit PowerDisk(const std::string& root) : root_(root) { adopt(root); }
  ~PowerDisk() override {
    for (const auto& [key, node] : nodes_) {
      if (node.fd >= 0) ::close(node.fd);
    }
  }
  PowerDisk(const PowerDisk&) = delete;
  PowerDisk& operator=(const PowerDisk&) = delete;

  // The cut: before the `at`-th operation from now on. `body` is called in that moment, when nothing else happens; it calls leave().
  void cut_before(uint64_t at, std::function<void()> body) {
    const std::scoped_lock lock(moment_);
    cut_at_ = operations_ + at;
    cut_ = std::move(body);
  }
  void cut_now() {
    const std::scoped_lock lock(moment_);
    if (cut_) std::exchange(cut_, nullptr)();
  }
  bool was_cut() {
    const std::scoped_lock lock(moment_);
    return !cut_;
  }
  uint64_t operations() {
    const std::scoped_lock lock(moment_);
    return operations_;
  }
  // Within a cut: what it leaves of `from` becomes `to`.
  void leave(const std::string& from, const std::string& to, std::mt19937_64& random) { put(key_at(from), to, random); }

  int open(const std::string& path, int flags, mode_t mode) noexcept override {
    if ((flags & (O_CREAT | O_TRUNC)) == 0) return SystemFiles::open(path, flags, mode);
    const std::scoped_lock lock(moment_);
    step();
    struct stat found {};
    const bool there = ::lstat(path.c_str(), &found) == 0;
    const int fd = SystemFiles::open(path, flags, mode);
    if (fd >= 0 && !there && tracked(path)) {
      make_node(key_of(fd), path, false);
      change(path, {{}, name_of(path), key_of(fd), {}});
    }
    return fd;
  }
  ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override {
    const std::scoped_lock lock(moment_);
    step();
    return SystemFiles::pwrite(fd, from, bytes, offset);
  }
  int resize(int fd, uint64_t bytes) noexcept override {
    const std::scoped_lock lock(moment_);
    step();
    return SystemFiles::resize(fd, bytes);
  }
  int sync_data(int fd) noexcept override {
    const std::scoped_lock lock(moment_);
    step();
    const auto node = nodes_.find(key_of(fd));
    if (node == nodes_.end()) return SystemFiles::sync_data(fd);
    std::string content = content_of(fd);  // before: what is stored while it syncs may or may not make it
    node->second.synced = std::move(content);
    return 0;
  }
  int sync_directory(const std::string& path) noexcept override {
    const std::scoped_lock lock(moment_);
    step();
    if (tracked(path)) {
      Node& node = nodes_[key_at(path)];
      for (const Change& done : node.pending) apply(node, done);
      node.pending.clear();
    }
    return 0;
  }
  int rename(const std::string& from, const std::string& to) noexcept override {
    const std::scoped_lock lock(moment_);
    step();
    const Key what = key_at(from);
    const Key parent = key_at(parent_of(from));
    const int result = SystemFiles::rename(from, to);
    if (result == 0 && tracked(to)) change(to, {name_of(from), name_of(to), what, parent});
    return result;
  }
  int unlink(const std::string& path) noexcept override {
    const std::scoped_lock lock(moment_);
    step();
    const int result = SystemFiles::unlink(path);
    if (result == 0 && tracked(path)) change(path, {name_of(path), {}, {}, key_at(parent_of(path))});
    return result;
  }
  int make_directory(const std::string& path, mode_t mode) noexcept override {
    const std::scoped_lock lock(moment_);
    step();
    const int result = SystemFiles::make_directory(path, mode);
    if (result == 0 && tracked(path)) {
      make_node(key_at(path), path, true);
      change(path, {{}, name_of(path), key_at(path), {}});
    }
    return result;
  }
  int remove_directory(const std::string& path) noexcept override {
    const std::scoped_lock lock(moment_);
    step();
    const int result = SystemFiles::remove_directory(path);
    if (result == 0 && tracked(path)) change(path, {name_of(path), {}, {}, key_at(parent_of(path))});
    return result;
  }

 private:
  using Key = std::pair<dev_t, ino_t>;
  struct Change {
    std::string gone;   // this name (of `from`) refers to nothing any more; empty: none
    std::string comes;  // this one refers to `what`; empty: none
    Key what{};
    Key from{};  // the directory of `gone`
  };
  struct Node {
    bool directory = false;
    std::map<std::string, Key> entries{};  // durable
    std::vector<Change> pending{};
    std::string synced{};
    int fd = -1;  // of a file: its content now, also when it has no name any more
  };
  static constexpr size_t kPage = 4096;

  static std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
  static std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }
  bool tracked(const std::string& path) const {
    return path.starts_with(root_) && path.compare(root_.size(), 10, "/tidepool-") != 0;
  }
  static Key key_of(int fd) {
    struct stat found {};
    ::fstat(fd, &found);
    return {found.st_dev, found.st_ino};
  }
  static Key key_at(const std::string& path) {
    struct stat found {};
    ::lstat(path.c_str(), &found);
    return {found.st_dev, found.st_ino};
  }
  static std::string content_of(int fd) {
    struct stat found {};
    ::fstat(fd, &found);
    std::string content(static_cast<size_t>(found.st_size), '\0');
    content.resize(static_cast<size_t>(std::max<ssize_t>(0, ::pread(fd, content.data(), content.size(), 0))));
    return content;
  }
  // Kept open: so its number is not another's as long as we live.
  Node& make_node(const Key& key, const std::string& path, bool directory) {
    Node& node = nodes_[key];
    node.directory = directory;
    node.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    return node;
  }
  void change(const std::string& path, Change done) { nodes_[key_at(parent_of(path))].pending.push_back(std::move(done)); }
  void apply(Node& node, const Change& done) {
    if (!done.gone.empty()) nodes_[done.from].entries.erase(done.gone);
    if (!done.comes.empty()) node.entries[done.comes] = done.what;
  }
  void step() {
    if (++operations_ == cut_at_ && cut_) std::exchange(cut_, nullptr)();
  }
  void adopt(const std::string& directory) {
    Node& node = make_node(key_at(directory), directory, true);
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      const std::string path = entry.path().string();
      if (!tracked(path)) continue;
      node.entries[name_of(path)] = key_at(path);
      if (entry.is_directory()) {
        adopt(path);
      } else {
        Node& file = make_node(key_at(path), path, false);
        file.synced = content_of(file.fd);
      }
    }
  }

  void put(const Key& key, const std::string& to, std::mt19937_64& random) {
    Node& node = nodes_[key];
    if (!node.directory) {
      std::ofstream(to, std::ios::binary) << torn(node, random);
      return;
    }
    std::filesystem::create_directories(to);
    // Of what was not synced, the first so many; all, none or some.
    const size_t some = random() % 3 == 0 ? 0 : random() % 2 == 0 ? node.pending.size() : random() % (node.pending.size() + 1);
    std::map<std::string, Key> entries = node.entries;
    for (size_t i = 0; i < some; ++i) {
      const Change& done = node.pending[i];
      if (!done.gone.empty() && done.from == key) entries.erase(done.gone);
      if (!done.comes.empty()) entries[done.comes] = done.what;
    }
    for (const auto& [name, child] : entries) put(child, concat(to, "/", name), random);
  }
  static std::string torn(const Node& node, std::mt19937_64& random) {
    const std::string now = content_of(node.fd);
    const std::string& synced = node.synced;
    // Its length is the synced one, the present one, or between; each later page is there or not.
    const size_t low = std::min(synced.size(), now.size());
    const size_t high = std::max(synced.size(), now.size());
    const size_t size = random() % 3 == 0 ? low + random() % (high - low + 1) : random() % 2 == 0 ? synced.size() : now.size();
    std::string left(size, '\0');
    const unsigned keep_new = static_cast<unsigned>(random() % 5);  // of four
    for (size_t at = 0; at < size; at += kPage) {
      const std::string& source = random() % 4 < keep_new ? now : synced;
      if (at < source.size()) source.copy(left.data() + at, std::min({kPage, size - at, source.size() - at}), at);
    }
    return left;
  }

  const std::string root_;
  std::mutex moment_;  // one operation at a time, and none during a cut; guards what follows
  uint64_t operations_ = 0;
  uint64_t cut_at_ = 0;
  std::function<void()> cut_;
  std::map<Key, Node> nodes_;
};

}  // namespace tidepool::feed::test

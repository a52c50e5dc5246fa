#pragma once
// Every verb of the command: one function, in verb_<name>.cc, that declares its options and sets Context::action.
// A new verb is one file, one line here and one line in CMakeLists.txt.

namespace CLI {
class App;
}

namespace tidepool::cli {

struct Context;

// In the order of `tidepool --help`.
#define TIDEPOOL_VERBS(verb) \
  verb(up)                   \
  verb(driver)               \
  verb(supervisor)           \
  verb(media_driver)         \
  verb(discovery)            \
  verb(publish)              \
  verb(subscribe)            \
  verb(feed)                 \
  verb(inspect)              \
  verb(streams)              \
  verb(leases)               \
  verb(listen)               \
  verb(gc)                   \
  verb(config)               \
  verb(demo)                 \
  verb(demo_peer)            \
  verb(bench)                \
  verb(bench_peer)           \
  verb(doctor)               \
  verb(version)

#define TIDEPOOL_DECLARE_VERB(name) void add_##name(CLI::App& app, Context& context);
TIDEPOOL_VERBS(TIDEPOOL_DECLARE_VERB)
#undef TIDEPOOL_DECLARE_VERB

}  // namespace tidepool::cli

#pragma once
// Every verb of `tidepool feed`: one function, in verb_feed_<name>.cc or with its near relatives, that declares its options and
// sets Context::action. A new verb is a file, one line here and one in CMakeLists.txt.

namespace CLI {
class App;
}

namespace tidepool::cli {

struct Context;

// In the order of `tidepool feed --help`.
// clang-format off
#define TIDEPOOL_FEED_VERBS(verb) \
  verb(create)                    \
  verb(list)                      \
  verb(info)                      \
  verb(inspect)                   \
  verb(tail)                      \
  verb(read)                      \
  verb(write)                     \
  verb(import)                    \
  verb(export)                    \
  verb(health)                    \
  verb(delete)                    \
  verb(segments)                  \
  verb(datasets)                  \
  verb(verify)                    \
  verb(repair)                    \
  verb(prune)                     \
  verb(persistd)                  \
  verb(backup)                    \
  verb(adopt)                     \
  verb(pin)                       \
  verb(unpin)                     \
  verb(bench)
// clang-format on

#define TIDEPOOL_DECLARE_FEED_VERB(name) void add_feed_##name(CLI::App& group, Context& context);
TIDEPOOL_FEED_VERBS(TIDEPOOL_DECLARE_FEED_VERB)
#undef TIDEPOOL_DECLARE_FEED_VERB

}  // namespace tidepool::cli

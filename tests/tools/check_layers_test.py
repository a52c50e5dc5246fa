"""The layer check finds what it is there for (style: a checker that cannot fail proves nothing)."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.dont_write_bytecode = True
import check_layers  # noqa: E402

README = """
| folder | what is in it | may include |
|---|---|---|
| `base/` | errors | nothing of ours |
| `shm/` | memory | base |
| `pool/` | frames | base shm |
| `cli/` | the command | anything |
"""


class CheckLayers(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)
        self.write("README.md", README)
        for header in ("base/error.h", "shm/region.h", "pool/view.h", "cli/text.h", "client.h"):
            self.write(header, "#pragma once\n")
        self.addCleanup(setattr, check_layers, "ATOMICS_ALLOWED", check_layers.ATOMICS_ALLOWED)
        check_layers.ATOMICS_ALLOWED = {}

    def write(self, path, text):
        file = self.root / "src" / "tidepool" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def faults(self, path, text):
        self.write(path, text)
        return check_layers.check(self.root)

    def test_allowed_arrows_pass(self):
        self.assertEqual(self.faults("pool/view.cc", '#include "tidepool/shm/region.h"\n#include "tidepool/pool/view.h"\n#include <vector>\n'), [])
        self.assertEqual(self.faults("cli/main.cc", '#include <CLI/CLI.hpp>\n#include "tidepool/pool/view.h"\n#include "tidepool/client.h"\n'), [])

    def test_an_arrow_upwards_is_a_fault_and_names_its_line(self):
        faults = self.faults("shm/region.cc", '#include "tidepool/base/error.h"\n#include "tidepool/pool/view.h"\n')
        self.assertEqual(len(faults), 1)
        self.assertIn("src/tidepool/shm/region.cc:2: shm/ may not include pool/", faults[0])

    def test_tests_obey_the_map_too(self):
        self.assertEqual(len(self.faults("shm/region_test.cc", '#include "tidepool/pool/view.h"\n')), 1)

    def test_depends_of_cmake_obeys_the_map(self):
        self.assertEqual(self.faults("pool/CMakeLists.txt", "tidepool_layer(pool\n  DEPENDS base shm\n  TESTS a_test.cc)\n"), [])
        self.assertEqual(len(self.faults("shm/CMakeLists.txt", "tidepool_layer(shm\n  DEPENDS base pool\n  TESTS a_test.cc)\n")), 1)

    def test_an_unknown_folder_or_header_is_a_fault(self):
        self.assertIn("utils/ is not in the table", self.faults("utils/misc.h", "")[0])
        self.assertTrue(any("there is no src/tidepool/base/gone.h" in line for line in self.faults("shm/a.cc", '#include "tidepool/base/gone.h"\n')))

    def test_the_umbrella_and_relative_paths_are_not_for_the_library(self):
        self.assertEqual(len(self.faults("shm/region.cc", '#include "tidepool/client.h"\n')), 1)
        self.assertEqual(len(self.faults("shm/region.cc", '#include "region.h"\n')), 1)

    def test_atomics_outside_shm_are_a_fault_even_as_a_header(self):
        for text in ("x.load(std::memory_order_relaxed);\n", "#include <atomic>\n", "std::atomic<int> n;\n", "__atomic_load_n(&x, 0);\n"):
            self.assertEqual(len(self.faults("pool/view.cc", text)), 1, text)
            self.assertEqual(self.faults("pool/view.cc", ""), [])

    def test_atomics_are_at_home_in_shm_in_tests_and_in_comments(self):
        self.assertEqual(self.faults("shm/word.h", "#include <atomic>\nstd::atomic<int> n;\n"), [])
        self.assertEqual(self.faults("pool/view_test.cc", "std::atomic<bool> stop;\n"), [])
        self.assertEqual(self.faults("pool/view.cc", '// std::atomic\n/* memory_order\n std::atomic */ auto s = "std::atomic";\n'), [])

    def test_a_listed_file_without_atomics_is_a_fault(self):
        check_layers.ATOMICS_ALLOWED = {"pool/view.h": "a flag"}
        self.assertIn("take the line out", check_layers.check(self.root)[0])
        self.assertEqual(self.faults("pool/view.h", "std::atomic<bool> alive;\n"), [])

    def test_libraries_stay_in_their_folder(self):
        for include in ("<CLI/CLI.hpp>", "<spdlog/spdlog.h>", "<toml++/toml.h>", "<nlohmann/json.hpp>", "<Aeron.h>", '"aeronc.h"'):
            self.assertEqual(len(self.faults("base/error.cc", f"#include {include}\n")), 1, include)
        self.assertEqual(self.faults("base/error.cc", ""), [])
        self.assertEqual(self.faults("base/error_test.cc", "#include <nlohmann/json.hpp>\n"), [])


if __name__ == "__main__":
    unittest.main()

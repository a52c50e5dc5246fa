"""The conformance table cannot claim what is not there."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.dont_write_bytecode = True
import conformance  # noqa: E402

SOURCE = """
// W-42, W-44
TEST(Reader, DropsATornFrame) {
  EXPECT_TRUE(true);  // W-45..W-47
}
// D-7/9
TEST_P(Lease, Expires) {}
RC_GTEST_PROP(Words, RoundTrip, (int n)) {}  // CFG-3
"""


class Conformance(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)
        (self.root / "docs").mkdir()
        (self.root / "src/tidepool/pool").mkdir(parents=True)
        (self.root / "tests/crash").mkdir(parents=True)
        (self.root / "src/tidepool/pool/reader_test.cc").write_text(SOURCE)
        (self.root / "tests/crash/CMakeLists.txt").write_text("add_test(NAME crash.twenty_kills COMMAND x)\n# W-9\n")

    def complaints(self, table):
        path = self.root / "docs/conformance.tsv"
        path.write_text(table)
        lines, complaints = conformance.read_table(path)
        return complaints + conformance.check_tests(lines, conformance.tests(self.root))

    def test_ranges_and_lists_of_numbers_are_understood(self):
        self.assertEqual(conformance.cited("W-42, W-45"), {"W-42", "W-45"})
        self.assertEqual(conformance.cited("W-82..W-84 and D-1/3"), {"W-82", "W-83", "W-84", "D-1", "D-3"})
        self.assertEqual(conformance.cited("CFG-1 to CFG-3"), {"CFG-1", "CFG-2", "CFG-3"})
        self.assertEqual(conformance.cited("NEW-4 D-"), set())
        self.assertEqual(conformance.cited("DS-4, D-5, DS-7 to DS-9"), {"DS-4", "D-5", "DS-7", "DS-8", "DS-9"})

    def test_a_test_cites_by_its_own_comment_or_body(self):
        known = conformance.tests(self.root)
        self.assertEqual(known["pool.Reader.DropsATornFrame"], {"W-42", "W-44", "W-45", "W-46", "W-47"})
        self.assertEqual(known["pool.Lease.Expires"], {"D-7", "D-9"})
        self.assertEqual(known["pool.Words.RoundTrip"], {"CFG-3"})
        self.assertEqual(known["crash.twenty_kills"], {"W-9"})

    def test_what_is_proven_is_accepted(self):
        self.assertEqual(self.complaints("W-42\tcovered\tpool.Reader.DropsATornFrame\n# a comment\n\n"
                                         "W-44\tpartial\tpool.Reader.DropsATornFrame # only one word\nW-1\targued\tstatic_assert\n"), [])

    def test_a_missing_test_a_number_not_cited_and_a_bad_line_are_faults(self):
        self.assertIn("no test", self.complaints("W-42\tcovered\tpool.Reader.Gone\n")[0])
        self.assertIn("does not cite", self.complaints("W-1\tcovered\tpool.Reader.DropsATornFrame\n")[0])
        for line in ("W-95\tcovered\tx\n", "W-42\tdone\tx\n", "W-42\tcovered\n", "W-44\tpartial\tpool.Reader.DropsATornFrame\n"):
            self.assertEqual(len(self.complaints(line)), 1, line)

    def test_the_page_counts_and_a_part_is_never_the_whole(self):
        text = conformance.page({"W-2": [("covered", "a.B"), ("partial", "a.C # the rest")], "D-1": [("covered", "a.B")]})
        self.assertIn("| W-2 | partial | `a.B`<br>`a.C` (missing: the rest) |", text)
        self.assertIn("| W-1 | open |  |", text)
        self.assertIn("(schema 900) | 0 | 1 | 0 | 0 | 93 |", text)


if __name__ == "__main__":
    unittest.main()

"""The closing line of ./test: nothing that failed is ever counted as anything else."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "sum_tests.py"
XML = '<?xml version="1.0"?><testsuite name="x">{}</testsuite>'
PASSED = '<testcase name="a.B" time="0.1" status="run"><system-out>fine</system-out></testcase>'
FAILED = '<testcase name="a.C" time="1" status="fail"><failure message="exit 1"/><system-out/></testcase>'
SKIPPED = ('<testcase name="a.D" time="0" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>'
           "<system-out>x_test.cc:3: Skipped\nneeds hugepages\n[  SKIPPED ] a.D</system-out></testcase>")
NOT_THERE = '<testcase name="a.E" time="0" status="notrun"><skipped message="Unable to find executable"/></testcase>'


class SumTests(unittest.TestCase):
    def run_on(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                (Path(folder) / name.replace("_", ".")).write_text(text)
            done = subprocess.run([sys.executable, str(TOOL), folder], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    def test_the_last_line_counts_over_all_parts(self):
        code, lines = self.run_on(release_xml=XML.format(PASSED + SKIPPED), asan_xml=XML.format(PASSED))
        self.assertEqual((code, lines[-1]), (0, "2 passed, 0 failed, 1 skipped"))
        self.assertTrue(any("a.D: needs hugepages" in line for line in lines))

    def test_a_failure_is_named_with_the_command_that_repeats_it(self):
        code, lines = self.run_on(asan_xml=XML.format(PASSED + FAILED))
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertTrue(any("ctest --preset asan -R 'a.C'" in line for line in lines))

    def test_a_missing_program_a_torn_file_and_a_broken_build_are_failures(self):
        for files in ({"release_xml": XML.format(PASSED + NOT_THERE)}, {"release_xml": XML.format(PASSED), "asan_xml": "<testsuite><testc"},
                      {"release_xml": XML.format(PASSED), "asan_broken": "asan: building"}):
            code, lines = self.run_on(**files)
            self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"), files)

    def test_no_test_at_all_is_a_failure(self):
        self.assertEqual(self.run_on(release_xml=XML.format(""))[0], 1)


if __name__ == "__main__":
    unittest.main()

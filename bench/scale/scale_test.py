"""The arithmetic and the plots of bench/scale: python3 bench/scale/scale_test.py"""

import os
import sys
import unittest
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "peers")]

import plot
import tables

SVG = "{http://www.w3.org/2000/svg}"


def found(seconds, anon_mib, sampled=True):
    return {"seconds": seconds, "processor": 2 * seconds, "anon_mib": anon_mib, "sampled": sampled}


class Figures(unittest.TestCase):
    def test_time_is_the_median_and_memory_the_most(self):
        self.assertEqual(tables.medians([found(3, 10), found(1, 30), found(2, 20)]), found(2, 30))

    def test_one_short_run_makes_memory_a_bound(self):
        self.assertFalse(tables.medians([found(3, 10), found(1, 30, False)])["sampled"])

    def test_powers_of_ten_have_names(self):
        self.assertEqual(tables.power(100000), "10^5")
        self.assertEqual(tables.power(250000), "250,000")

    def test_memory_is_short_by_any_command(self):
        text = "\n".join(tables.wanted({"stats": {"100000000": found(1, 600)},
                                         "open": {"100000000": found(1, 512)}}))
        self.assertIn("600 MiB (stats) | **SHORT**: stats |", text)
        text = "\n".join(tables.wanted({"open": {"100000000": found(1, 512)}}))
        self.assertIn("512 MiB (open) | met |", text)

    def test_memory_is_not_met_while_a_command_was_not_measured(self):
        text = "\n".join(tables.wanted({"open": {"100000000": found(1, 5)}, "stats": {"1000000": found(1, 5)}}))
        self.assertIn("5.0 MiB (open) | not measured: stats |", text)

    def test_dry_run_has_a_time(self):
        for seconds, verdict in [(10, "10.0 s | met |"), (10.1, "10.1 s | **SHORT** |")]:
            self.assertIn(verdict, tables.wanted({"gc --dry-run": {"100000000": found(seconds, 1)}})[-2])

    def test_small_stores_are_not_judged(self):
        self.assertIn("No figure", tables.wanted({"stats": {"1000000": found(1, 9999)}})[0])

    def test_a_size_that_was_not_measured_is_a_dash(self):
        text = tables.markdown([], {"open": {"100000": found(0.001, 5, False)},
                                     "stats": {"1000000": found(20, 50)}}, {"100000": 1 << 20}, [])
        self.assertIn("| open | 1.0 ms | - |", text)
        self.assertIn("| stats | - | 20.0 s |", text)
        self.assertIn("| open | 2.0 ms | - |", text)
        self.assertIn("| open | ≤ 5.0 | - |", text)


class Plot(unittest.TestCase):
    def test_decades_hold_all_values(self):
        self.assertEqual(plot.decades([100, 1000]), (2, 3))
        self.assertEqual(plot.decades([0.02, 99]), (-2, 2))
        self.assertEqual(plot.decades([10]), (1, 2))

    def test_a_decade_is_as_long_as_any_other(self):
        self.assertAlmostEqual(plot.place(1000, 2, 4, 0, 100), 50)
        self.assertAlmostEqual(plot.place(100, 2, 4, 80, 20), 80)
        self.assertAlmostEqual(plot.place(10000, 2, 4, 80, 20), 20)

    def test_drawing_has_each_line_and_point_inside(self):
        lines = {"a<b": [(10 ** 5, 0.01), (10 ** 8, 20)], "other": [(10 ** 6, 1)]}
        root = ElementTree.fromstring(plot.log_log("t", "x", "y", lines, (10, "must")))
        self.assertEqual(len(root.findall(SVG + "polyline")), 2)
        circles = root.findall(SVG + "circle")
        self.assertEqual(len(circles), 3)
        for circle in circles:
            self.assertTrue(plot.LEFT <= float(circle.get("cx")) <= plot.WIDTH - plot.RIGHT)
            self.assertTrue(plot.TOP <= float(circle.get("cy")) <= plot.HEIGHT - plot.BOTTOM)
        texts = [text.text for text in root.iter(SVG + "text")]
        self.assertIn("a<b", texts)
        self.assertIn("must", texts)


if __name__ == "__main__":
    unittest.main()

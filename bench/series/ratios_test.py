"""The arithmetic of ratios.py: python3 bench/series/ratios_test.py"""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "peers")]

from ratios import Result, Stored, geometric_mean, stored_table, wanted_table

MIB = 1 << 20
PEERS = ["restic", "casync"]


def result(ours, restic=200, casync=100):
    """Of a series of which ckpt-store adds `ours` MiB to its empty store."""
    return Result("melt", [50 * MIB] * 3, {
        "ckpt-store": Stored(2 * MIB, (2 + ours) * MIB),
        "restic": Stored(0, restic * MIB),
        "casync": Stored(MIB, (1 + casync) * MIB),
    })


class Ratios(unittest.TestCase):
    def test_mean_is_geometric(self):
        self.assertAlmostEqual(geometric_mean([0.5, 2.0]), 1.0)
        self.assertAlmostEqual(geometric_mean([0.25]), 0.25)
        self.assertIsNone(geometric_mean([]))

    def test_ratio_is_of_what_was_added_to_the_peer_that_needs_least(self):
        self.assertEqual(result(80).best(PEERS), (100 * MIB, "casync"))
        self.assertAlmostEqual(result(80).ratio("ckpt-store", PEERS), 0.8)
        self.assertAlmostEqual(result(80).ratio("ckpt-store", ["restic"]), 0.4)

    def test_without_peers_there_is_no_ratio(self):
        self.assertIsNone(result(80).ratio("ckpt-store", []))
        self.assertIn("| - | - |", stored_table([result(80)], ["ckpt-store"], [])[-1])

    def test_as_much_as_the_best_peer_is_short(self):
        self.assertIn("met", stored_table([result(99)], ["ckpt-store"], PEERS)[-1])
        self.assertIn("SHORT", stored_table([result(100)], ["ckpt-store"], PEERS)[-1])

    def test_figures_are_short_for_one_series_and_for_the_mean(self):
        every, mean = wanted_table([result(50), result(120)], ["ckpt-store"], PEERS)[-2:]
        self.assertIn("on 1 of 2 | **SHORT**", every)
        self.assertIn("0.775 | **SHORT**", mean)  # sqrt(0.5 * 1.2)
        every, mean = wanted_table([result(50), result(90)], ["ckpt-store"], PEERS)[-2:]
        self.assertIn("on 2 of 2 | met", every)
        self.assertIn("0.671 | met", mean)


if __name__ == "__main__":
    unittest.main()

"""The arithmetic and the tables: what is stored of each series, beside the best peer."""

import math
from dataclasses import dataclass, field

from figures import MIB
from report import table

MEAN_WANTED = 0.75  # of the ratios to the best peer, geometric
CUTS_WANTED = 1.02  # new bytes by our cuts to those by FastCDC's


@dataclass
class Stored:
    """Bytes of a store's files, by length."""

    empty: int
    total: int

    def added(self):
        return self.total - self.empty


@dataclass
class Result:
    """Of one series. `stored`: by names of stores; `cuts`: of ckpt-store and FastCDC."""

    title: str
    raw: list  # bytes of each step
    stored: dict = field(default_factory=dict)
    new_bytes: int = 0
    fastcdc_bytes: int = 0

    def best(self, peers):
        """(added bytes, name) of the peer that needs least; None without peers."""
        return min(((self.stored[name].added(), name) for name in peers if name in self.stored), default=None)

    def ratio(self, name, peers):
        best = self.best(peers)
        return self.stored[name].added() / best[0] if best and name in self.stored else None


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(math.log(value) for value in values) / len(values)) if values else None


def verdict(good):
    return "met" if good else "**SHORT**"


def _mib(value):
    return f"{value / MIB:.1f}"


def _stored(result, name):
    stored = result.stored.get(name)
    return f"{_mib(stored.total)}, {_mib(stored.added())}" if stored else "-"


def _step_size(raw):
    least, greatest = min(raw), max(raw)
    if greatest - least < 0.02 * greatest:
        return f"{len(raw)} × {_mib(greatest)}"
    return f"{len(raw)} × {_mib(least)} to {_mib(greatest)}"


def _ratio(value):
    return "-" if value is None else f"{value:.3f}"


def stored_table(results, variants, peers):
    head = ["series", "steps × MiB"] + peers
    for variant in variants:
        head += [variant, "ratio", ""]
    rows = []
    for result in results:
        row = [result.title, _step_size(result.raw)] + [_stored(result, name) for name in peers]
        for variant in variants:
            ratio = result.ratio(variant, peers)
            row += [_stored(result, variant), _ratio(ratio), "-" if ratio is None else verdict(ratio < 1)]
        rows.append(row)
    return table(head, rows)


def wanted_table(results, variants, peers):
    rows = []
    for variant in variants:
        ratios = [r for r in (result.ratio(variant, peers) for result in results) if r is not None]
        if not ratios:
            continue
        smaller = sum(ratio < 1 for ratio in ratios)
        mean = geometric_mean(ratios)
        rows.append([f"{variant}: smaller than the best peer", "on every series",
                     f"on {smaller} of {len(ratios)}", verdict(smaller == len(ratios))])
        rows.append([f"{variant}: geometric mean of the ratios", f"≤ {MEAN_WANTED}", _ratio(mean),
                     verdict(mean <= MEAN_WANTED)])
    return table(["figure", "must", "measured", ""], rows)


def cuts_table(results):
    rows = []
    for result in results:
        if not result.fastcdc_bytes or not result.new_bytes:
            continue
        raw, ratio = sum(result.raw), result.new_bytes / result.fastcdc_bytes
        rows.append([result.title, f"{result.new_bytes / raw:.4f}", f"{result.fastcdc_bytes / raw:.4f}",
                     f"{ratio:.4f}", verdict(ratio <= CUTS_WANTED)])
    return table(["series", "ckpt-store", "FastCDC", "ratio", f"≤ {CUTS_WANTED}"], rows) if rows else []


def markdown(env, results, variants, peers, notes):
    lines = table(["", ""], [list(row) for row in env]) + [""]
    lines += ["MiB at the end of each series: all files of the store, and without what an empty one takes.",
              "The ratio is of the latter, to the peer that needs least.", ""]
    lines += stored_table(results, variants, peers) + [""]
    lines += wanted_table(results, variants, peers) + [""]
    cuts = cuts_table(results)
    if cuts:
        lines += ["New bytes before compression, as a share of all:", ""] + cuts + [""]
    return "\n".join(lines + [f"- {note}" for note in notes] + ([""] if notes else []))

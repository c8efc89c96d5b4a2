"""The figures a release is held to: what must be, what was measured, and whether that is met."""

from dataclasses import dataclass
from typing import Optional

MIB = 1 << 20


@dataclass
class Figure:
    name: str
    must: str  # in words
    bound: Optional[float]  # what the words come to in this run; None: not measured
    measured: Optional[float]
    unit: str
    at_least: bool = False

    def verdict(self):
        if self.bound is None or self.measured is None:
            return "not measured"
        good = self.measured >= self.bound if self.at_least else self.measured <= self.bound
        return "met" if good else "SHORT"

    def ratio(self):
        """Of measured to bound; above 1 is short (below 1 for 'at least')."""
        return self.measured / self.bound if self.bound and self.measured is not None else None


def number(value, unit):
    if value is None:
        return "-"
    if unit == "s":
        return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"
    if unit == "MiB":
        return f"{value / MIB:.1f} MiB"
    if unit == "ms":
        return f"{value:.2f} ms"
    return f"{value:,.0f} {unit}".strip()


def _fastest(phase, names):
    """(seconds, name) of the fastest of these tools, or None."""
    times = [(phase[name].seconds(), name) for name in names if name in phase]
    return min(times) if times else None


class _Table:
    def __init__(self, results, peers):
        self.results = results
        self.peers = peers
        self.figures = []

    def add(self, name, must, bound, measured, unit, at_least=False):
        self.figures.append(Figure(name, must, bound, measured, unit, at_least))

    def against(self, name, key, phase_name, factor, words, names):
        """ckpt-store's seconds in a phase against a factor of the fastest of `names`."""
        phase = self.results.get(key, {}).get("phases", {}).get(phase_name, {})
        fastest = _fastest(phase, names)
        ours = phase["ckpt-store"].seconds() if "ckpt-store" in phase else None
        if fastest is not None:
            words += f" ({fastest[1]}: {fastest[0]:.3f} s)"
        self.add(name, words, factor * fastest[0] if fastest else None, ours, "s")

    def stored(self, key, at_level_3):
        stored = self.results.get(key, {}).get("stored", {})
        theirs = [(stored[name][0], name) for name in at_level_3 if name in stored]
        words = "≤ 1.05 × the best peer at zstd 3"
        if theirs:
            words += f" ({min(theirs)[1]}: {min(theirs)[0] / MIB:.1f} MiB)"
        ours = stored["ckpt-store"][0] if "ckpt-store" in stored else None
        self.add(f"stored bytes on ({key})", words, 1.05 * min(theirs)[0] if theirs else None, ours, "MiB")


def make(results, peers, programs):
    """All figures, in order. `programs`: what the benchmark programs said, by name."""
    table = _Table(results, peers)
    copies = ["cp + fsync", "O_DIRECT copy"]
    first = "first save"
    table.against("first save of (b), durable", "b", first, 1.3, "≤ 1.3 × the better copy", copies)
    table.against("first save of (b), durable", "b", first, 0.25, "≤ 1/4 of the fastest peer", peers)
    for share in ("1 %", "10 %"):
        table.against(f"{share} of (b) changed, read again", "b", f"{share} changed", 0.2,
                      "≤ 1/5 of the fastest peer", peers)
    for key in ("b", "c"):
        table.against(f"unchanged files of ({key}), stat only", key, "unchanged (stat only)", 1.0,
                      "≤ the fastest peer", peers)
    table.against("restore of (b), verified", "b", "restore", 1.5, "≤ 1.5 × cp, not synced", ["cp + fsync"])
    table.against("restore of (b), verified", "b", "restore", 0.25, "≤ 1/4 of the fastest peer", peers)
    for key in ("a", "b", "c"):
        table.stored(key, ["restic", "borg zstd,3", "casync"])
    peaks = [
        phase["ckpt-store"].peak_bytes()
        for result in results.values()
        for phase in result["phases"].values()
        if "ckpt-store" in phase
    ]
    get = programs.get
    peaks += [get("list_peak_bytes") or 0, MIB * (get("reindex_mib") or 0)]
    table.add("peak memory, all of these (`reindex` with its index, which is mapped)", "≤ 512 MiB",
              512 * MIB, max(peaks) or None, "MiB")

    checkpoints = get("checkpoints")
    of = f"{checkpoints:,.0f} checkpoints: " if checkpoints else "100,000 checkpoints: "
    table.add(of + "opening the store", "≤ 50 ms", 50, get("open_ms"), "ms")
    table.add(of + "opening and listing the last 10", "≤ 50 ms", 50, get("list_ms"), "ms")
    table.add(of + "the command `list --last 10`", "≤ 50 ms", 50, get("list_command_ms"), "ms")
    chunks = get("chunks")
    of = f"{chunks:,.0f} chunks: " if chunks else "10,000,000 chunks: "
    table.add(of + "index after `reindex`", "≤ 80 B a chunk", 80, get("reindex_bytes"), "B a chunk")
    table.add(of + "index grown at random", "≤ 180 B a chunk", 180, get("grown_bytes"), "B a chunk")
    table.add(of + "`reindex` from directories, warm", "≥ 500,000 chunks a second", 500_000,
              get("reindex_rate"), "chunks/s", at_least=True)
    return table.figures

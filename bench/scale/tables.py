"""What bench/scale/run measured: medians, tables, and which figures are met."""

import statistics

from report import table

MIB = 1 << 20
MEMORY_MIB = 512  # anonymous memory of any command at 10^8 chunks
DRY_RUN_SECONDS = 10
JUDGED = 10 ** 8


def medians(samples):
    """{"seconds", "processor", "anon_mib", "sampled"} of a command's runs at one size; of memory, the most."""
    return {
        "seconds": statistics.median(sample["seconds"] for sample in samples),
        "processor": statistics.median(sample["processor"] for sample in samples),
        "anon_mib": max(sample["anon_mib"] for sample in samples),
        "sampled": all(sample["sampled"] for sample in samples),
    }


def power(chunks):
    """10^5 for 100000; otherwise the number."""
    digits = str(chunks)
    return f"10^{len(digits) - 1}" if digits.strip("0") == "1" else f"{chunks:,}"


def _seconds(value):
    return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"


def _memory(found):
    text = f"{found['anon_mib']:.0f}" if found["anon_mib"] >= 10 else f"{found['anon_mib']:.1f}"
    return text if found["sampled"] else "≤ " + text


def lines(results, what):
    """Of each command, (chunks, value) for a plot."""
    return {name: [(int(size), found[what]) for size, found in sizes.items()] for name, sizes in results.items()}


def _grid(results, cell):
    sizes = sorted({int(size) for found in results.values() for size in found})
    rows = [[name] + [cell(found[str(s)]) if str(s) in found else "-" for s in sizes]
            for name, found in results.items()]
    return table([""] + [power(size) for size in sizes], rows)


def verdict(good):
    return "met" if good else "**SHORT**"


def wanted(results):
    """The figures, judged at 10^8 chunks only."""
    at = {name: found[str(JUDGED)] for name, found in results.items() if str(JUDGED) in found}
    if not at:
        return ["No figure is judged: there is no store of 10^8 chunks in this run.", ""]
    most = max(at, key=lambda name: at[name]["anon_mib"])
    over = [name for name in at if at[name]["anon_mib"] > MEMORY_MIB]
    left_out = [name for name in results if name not in at]
    judged = verdict(not over) + (": " + ", ".join(over) if over else "")
    if left_out and not over:
        judged = "not measured: " + ", ".join(left_out)
    rows = [["anonymous memory of any command", f"≤ {MEMORY_MIB} MiB", f"{_memory(at[most])} MiB ({most})",
             judged]]
    dry = at.get("gc --dry-run")
    if dry:
        rows.append(["gc --dry-run", f"≤ {DRY_RUN_SECONDS} s", _seconds(dry["seconds"]),
                     verdict(dry["seconds"] <= DRY_RUN_SECONDS)])
    return table(["at 10^8 chunks", "must", "measured", ""], rows) + [""]


def markdown(env, results, stores, plots):
    """`stores`: bytes on disk by size; `plots`: (title, path) from the page."""
    out = table(["", ""], [list(row) for row in env]) + [""]
    out += wanted(results)
    out += ["Time:", ""] + _grid(results, lambda found: _seconds(found["seconds"])) + [""]
    out += ["Processor time of the whole process:", ""]
    out += _grid(results, lambda found: _seconds(found["processor"]) if "processor" in found else "-") + [""]
    out += ["Anonymous memory at its peak (MiB):", ""] + _grid(results, _memory) + [""]
    sizes = sorted(stores, key=int)
    out += ["The stores:", ""] + table(
        [""] + [power(int(size)) for size in sizes],
        [["on disk (MiB), index included"] + [f"{stores[size] / MIB:.0f}" for size in sizes]]) + [""]
    out += [f"![{title}]({path})" for title, path in plots]
    return "\n".join(out) + "\n"

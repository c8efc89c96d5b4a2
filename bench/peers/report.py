"""The results as tables, for a terminal and for docs/benchmarks.md."""

import os
import platform
import re

from figures import MIB, number

BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


def _first_match(path, pattern):
    try:
        with open(path) as file:
            match = re.search(pattern, file.read(), re.M)
            return match.group(1) if match else "unknown"
    except OSError:
        return "unknown"


def _file_system(folder):
    """Type of the file system a folder is on: the longest mount point that is its beginning."""
    best = ("", "unknown")
    folder = os.path.realpath(folder)
    try:
        with open("/proc/mounts") as file:
            for line in file:
                _, point, kind = line.split()[:3]
                if (folder + "/").startswith(point.rstrip("/") + "/"):
                    best = max(best, (point, kind), key=lambda found: len(found[0]))
    except OSError:
        pass
    return best[1]


def environment(work, tools, repeat, quick):
    processor = _first_match("/proc/cpuinfo", r"^model name\s*: (.*)")
    memory_kib = _first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)")
    memory = f"{int(memory_kib) / MIB:.0f} GiB" if memory_kib.isdigit() else memory_kib
    system = _first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)')
    return [
        ("processor", f"{processor}, {len(os.sched_getaffinity(0))} cores"),
        ("memory", memory),
        ("system", f"{system}, Linux {platform.release()}"),
        ("file system", _file_system(work)),
        ("load before", "%.2f" % os.getloadavg()[0]),
        ("programs", "; ".join(version for version in (tool.version() for tool in tools) if version)),
        ("repetitions", f"{repeat}, interleaved; medians [least - greatest]"),
        ("sizes", "quick: too small to judge by" if quick else "full"),
    ]


def _cell(series):
    least, greatest = series.range()
    return f"{series.seconds():.3f} [{least:.3f} - {greatest:.3f}]"


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return [_row(head), _row(["---"] * len(head))] + [_row(row) for row in rows]


def _set_tables(result):
    tools = []
    for phase_name, phase in result["phases"].items():
        if not phase_name.startswith("step "):  # of a series only the sum is shown
            tools += [name for name in phase if name not in tools]
    rows = [
        [phase_name] + [_cell(phase[name]) if name in phase else "" for name in tools]
        for phase_name, phase in result["phases"].items()
        if not phase_name.startswith("step ")
    ]
    lines = ["### " + result["describe"], "", "Seconds:", ""] + table([""] + tools, rows)
    phases = result["phases"].values()
    peaks = [max(p[name].peak_bytes() for p in phases if name in p) / MIB for name in tools]
    lines += ["", "Most memory (MiB), and what is stored at the end (MiB: by length, on disk):", ""]
    stored = result["stored"]
    rows = [["memory"] + [f"{peak:.0f}" for peak in peaks] + ["" for name in stored if name not in tools]]
    tools += [name for name in stored if name not in tools]
    rows.append(["stored"] + [
        f"{stored[n][0] / MIB:.1f}, {stored[n][1] / MIB:.1f}" if n in stored else "" for n in tools
    ])
    return lines + table([""] + tools, rows) + [""]


def markdown(env, results, figures, notes):
    lines = ["## Environment", ""] + table(["", ""], [list(row) for row in env]) + [""]
    lines += ["## Figures", ""]
    rows = []
    for figure in figures:
        ratio = figure.ratio()
        rows.append([
            figure.name, figure.must, number(figure.bound, figure.unit),
            number(figure.measured, figure.unit), f"{ratio:.2f}" if ratio is not None else "-",
            f"**{figure.verdict()}**" if figure.verdict() == "SHORT" else figure.verdict(),
        ])
    lines += table(["figure", "must", "which is", "measured", "ratio", ""], rows)
    lines += [""] + [f"- {note}" for note in notes] + ([""] if notes else [])
    lines += ["## Against the peers", ""]
    for result in results.values():
        lines += _set_tables(result)
    return "\n".join(lines)


def terminal(text):
    """Markdown with its tables aligned: reads well as plain text."""
    lines, block = [], []
    for line in text.split("\n") + [""]:
        if line.startswith("| "):
            cells = [cell.strip() for cell in line[2:].removesuffix(" |").split(" | ")]
            block.append(None if cells[0] == "---" else cells)
            continue
        if block:
            rows = [row for row in block if row is not None]
            columns = max(len(row) for row in rows)
            rows = [row + [""] * (columns - len(row)) for row in rows]
            widths = [max(len(row[i]) for row in rows) for i in range(columns)]
            lines += ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
            block = []
        lines.append(line)
    return "\n".join(lines).rstrip() + "\n"


def write_markdown(path, text, begin=BEGIN, end=END):
    """Between the marks of a page that has them, else the whole file."""
    whole = text
    if os.path.exists(path):
        with open(path) as file:
            page = file.read()
        if begin in page and end in page:
            whole = page[: page.index(begin) + len(begin)] + "\n\n" + text + "\n" + page[page.index(end):]
    with open(path, "w") as file:
        file.write(whole)

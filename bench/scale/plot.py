"""Log-log plots as SVG, written by hand: nothing but Python's standard library is needed."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 40, 50
COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f", "#bcbd22"]


def decades(values):
    """The least power of ten below all values and the greatest above them; at least one decade."""
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def place(value, low, high, begin, end):
    """Where on an axis from `begin` to `end`, which stand for 10^low and 10^high, a value is."""
    return begin + (math.log10(value) - low) / (high - low) * (end - begin)


def _label(power):
    return f"{10 ** power:g}" if -4 < power < 5 else f"1e{power}"


def _text(x, y, text, anchor="middle"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def log_log(title, x_title, y_title, lines, limit=None):
    """`lines`: {name: [(x, y), ...]}, all above 0. `limit`: (y, name) of a line to stay below."""
    points = [point for line in lines.values() for point in line]
    x_low, x_high = decades([x for x, _ in points])
    y_low, y_high = decades([y for _, y in points] + ([limit[0]] if limit else []))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def at(x, y):
        return place(x, x_low, x_high, LEFT, right), place(y, y_low, y_high, bottom, TOP)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
           _text((LEFT + right) / 2, 20, title), _text((LEFT + right) / 2, HEIGHT - 12, x_title),
           f'<g transform="rotate(-90 18 {(TOP + bottom) / 2:.1f})">'
           + _text(18, (TOP + bottom) / 2, y_title) + "</g>"]
    grid = 'stroke="#dddddd"'
    for power in range(x_low, x_high + 1):
        x, _ = at(10.0 ** power, 10.0 ** y_low)
        out += [_line(x, TOP, x, bottom, grid), _text(x, bottom + 18, _label(power))]
    for power in range(y_low, y_high + 1):
        _, y = at(10.0 ** x_low, 10.0 ** power)
        out += [_line(LEFT, y, right, y, grid), _text(LEFT - 6, y + 4, _label(power), "end")]
    if limit:
        _, y = at(10.0 ** x_low, limit[0])
        out += [_line(LEFT, y, right, y, 'stroke="#000000" stroke-dasharray="6 4"'),
                _text(LEFT + 4, y - 4, limit[1], "start")]
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [at(x, y) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        y = TOP + 10 + 18 * number
        out += [_line(right + 12, y, right + 32, y, f'stroke="{colour}" stroke-width="2"'),
                _text(right + 38, y + 4, name, "start")]
    return "\n".join(out + ["</svg>", ""])

"""Charts as SVG elements of a page: they follow its light and dark colours, and need no plotting library."""

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

# In px of the page: the whole chart, and the margins left, right, top and bottom of its axes.
_WIDTH, _HEIGHT = 600, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 30, 46
_MAX_BINS, _MAX_WHOLE, _MAX_RANGES = 40, 12, 250
_CLASSES = ("first", "second")  # The first series is filled, the second a dashed line: not only the colours differ.


def histogram(
    series: Mapping[str, np.ndarray], label: str, of: str, log: bool = False, marks: Mapping[str, float] | None = None
) -> str:
    """Returns a histogram: for one or two named series of values, the share of each bin in %.

    `label` and `of`: the name of the values with their unit, and what is counted. `log`: a logarithmic scale from
    0.01 %, so that rare values are visible. `marks`: values to mark by a vertical line with their name. Few different
    whole numbers get a bin each; others get up to 40 bins. Series without values are left out.
    """
    shown = {name: np.asarray(values, float) for name, values in series.items() if len(values)}
    if not shown:
        return ""
    edges = _edges(np.concatenate(list(shown.values())))
    shares = {name: 100 * np.histogram(values, edges)[0] / len(values) for name, values in shown.items()}
    ticks = [0.01, 0.1, 1, 10, 100] if log else _ticks(0, max(float(values.max()) for values in shares.values()))
    axes = _Axes((edges[0], edges[-1]), (ticks[0], ticks[-1]), log)
    parts = [axes.frame(label, f"{of}, %", _x_ticks(edges), ticks), _legend(list(shown))]
    for kind, values in zip(_CLASSES, shares.values(), strict=False):
        heights = np.repeat(values, 2)
        xs = np.repeat(edges, 2)[1:-1]
        points = [(edges[0], ticks[0]), *zip(xs, heights, strict=True), (edges[-1], ticks[0])]
        parts.append(f'<polyline class="{kind}" points="{axes.points(points)}"/>')
    parts += [axes.mark(name, value) for name, value in (marks or {}).items() if edges[0] <= value <= edges[-1]]
    return _svg(parts, f"Histogram of {label}, {' and '.join(shown)}")


def ranges(lows: Sequence[float], highs: Sequence[float], label: str) -> str:
    """Returns a vertical line per case from its low to its high value, in ascending order of the high ones.

    Of more than 250 cases, 250 are shown, the lowest and the highest among them.
    """
    order = np.lexsort((lows, highs))
    chosen = order[np.linspace(0, len(order) - 1, min(len(order), _MAX_RANGES)).round().astype(int)]
    ticks = _ticks(min(lows), max(highs))
    axes = _Axes((-1, len(chosen)), (ticks[0], ticks[-1]), False)
    lines = "".join(
        f"M{axes.x(place):.1f} {axes.y(lows[case]):.1f}V{axes.y(highs[case]):.1f}h.01"
        for place, case in enumerate(chosen)
    )
    title = "Cases, by their highest value"
    return _svg([axes.frame(title, label, [], ticks), f'<path class="first" d="{lines}"/>'], f"{label} of each case")


class _Axes:
    """Converts values to positions in the chart."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], log: bool) -> None:
        self._x, self._log = x, log
        self._y = (math.log10(y[0]), math.log10(y[1])) if log else y

    def x(self, value: float) -> float:
        low, high = self._x
        return float(_LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT))

    def y(self, value: float) -> float:
        low, high = self._y
        height = max(low, math.log10(max(value, 1e-9))) if self._log else value
        return float(_HEIGHT - _BOTTOM - (height - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM))

    def points(self, points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)

    def mark(self, name: str, value: float) -> str:
        x = self.x(value)
        line = f'<path class="axis" stroke-dasharray="2 3" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
        return f'{line}<text x="{x + 4:.1f}" y="{_TOP + 12}">{html.escape(name)}</text>'

    def frame(self, x_label: str, y_label: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> str:
        bottom, middle = _HEIGHT - _BOTTOM, (_TOP + _HEIGHT - _BOTTOM) / 2
        parts = [f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}"/>']
        parts += [
            f'<text x="{self.x(value):.1f}" y="{bottom + 18}" text-anchor="middle">{_number(value)}</text>'
            for value in x_ticks
        ]
        parts += [
            f'<text x="{_LEFT - 6}" y="{self.y(value) + 4:.1f}" text-anchor="end">{_number(value)}</text>'
            for value in y_ticks
        ]
        center = (_LEFT + _WIDTH - _RIGHT) / 2
        parts.append(f'<text x="{center}" y="{_HEIGHT - 8}" text-anchor="middle">{html.escape(x_label)}</text>')
        turned = f'transform="translate(14 {middle}) rotate(-90)" text-anchor="middle"'
        return "".join([*parts, f"<text {turned}>{html.escape(y_label)}</text>"])


def _edges(values: np.ndarray) -> list[float]:
    low, high = float(values.min()), float(values.max())
    if high - low < _MAX_WHOLE and (values == values.round()).all():
        return np.arange(low - 0.5, high + 1).tolist()
    bins = int(np.clip(2 * math.sqrt(len(values)), 5, _MAX_BINS))
    return np.linspace(low, high if high > low else low + 1, bins + 1).tolist()


def _x_ticks(edges: Sequence[float]) -> list[float]:
    return [value for value in _ticks(edges[0], edges[-1]) if edges[0] <= value <= edges[-1]]


def _ticks(low: float, high: float) -> list[float]:
    """Returns at most seven round numbers, which enclose the range."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span))
    step = next(step for step in (0.2 * power, 0.5 * power, power, 2 * power) if span / step <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, max(last, first + 1) + 1)]


def _number(value: float) -> str:
    return f"{round(value, 9):,.10g}".replace("-", "−")


def _legend(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ""
    parts, x = [], _LEFT
    for kind, name in zip(_CLASSES, names, strict=False):
        parts.append(f'<path class="{kind}" d="M{x} 12h34"/><text x="{x + 40}" y="16">{html.escape(name)}</text>')
        x += 56 + 8 * len(name)
    return "".join(parts)


def _svg(parts: Sequence[str], description: str) -> str:
    attributes = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img"'
    return f'<svg {attributes} aria-label="{html.escape(description)}">{"".join(parts)}</svg>'

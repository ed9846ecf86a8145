"""One palette for plots, charts and reports: every colour is legible on white and on JupyterLab's dark background.

The hues are Okabe and Ito's (2008), which colour-blind readers can distinguish; yellow, orange and sky blue are darker than
theirs and black is a grey, so that each has a contrast of 3:1 or more on both backgrounds. Dashes and markers repeat the
distinction for black and white.
"""

from __future__ import annotations

from typing import Any

VERMILION, BLUE, GREEN, PURPLE = "#D55E00", "#0072B2", "#009E73", "#C2699C"
NEUTRAL, AMBER, SKY = "#808080", "#B77C00", "#2F92CF"
INK = "#767676"
"""Text: 4.5:1 on white and 4.2:1 on JupyterLab's dark background."""
INK_LIGHTER = "#828282"

STYLES: tuple[tuple[str, Any, str], ...] = (
    (VERMILION, "-", "o"),
    (BLUE, (0, (5, 2)), "s"),
    (GREEN, (0, (1, 1.2)), "^"),
    (PURPLE, (0, (6, 2, 1, 2)), "D"),
    (NEUTRAL, (0, (3, 1, 1, 1, 1, 1)), "v"),
    (AMBER, (0, (8, 3)), "P"),
    (SKY, (0, (2, 2)), "X"),
)
"""Colour, dashes and marker of each arm in turn."""


def contrast(colour: str, background: str) -> float:
    """The contrast ratio of two colours, by the Web Content Accessibility Guidelines 2.

    >>> round(contrast("#000000", "#FFFFFF"))
    21
    """
    darker, lighter = sorted((_luminance(colour), _luminance(background)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

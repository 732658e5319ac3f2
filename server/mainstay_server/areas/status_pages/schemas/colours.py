"""Colours: the contrast of two by WCAG 2.2 (relative luminance), and the nearest that is enough."""

LEAST_CONTRAST = 4.5
WHITE = "#ffffff"
STEPS = 100


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours of the form `#rrggbb`, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def darkened_to(colour: str, *, against: str) -> str:
    """The colour, mixed with black only as far as it takes to be read against another."""
    return _mixed_until(colour, "#000000", against)


def lightened_to(colour: str, *, against: str) -> str:
    """The colour, mixed with white only as far as it takes to be read against another."""
    return _mixed_until(colour, WHITE, against)


def _mixed_until(colour: str, end: str, against: str) -> str:
    for step in range(STEPS + 1):
        mixed = _mix(colour, end, step / STEPS)
        if contrast(mixed, against) >= LEAST_CONTRAST:
            return mixed
    return end


def _mix(one: str, other: str, share: float) -> str:
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    if channel <= 0.04045:  # noqa: PLR2004 - sRGB, IEC 61966-2-1
        return channel / 12.92
    return float(((channel + 0.055) / 1.055) ** 2.4)

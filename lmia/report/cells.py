"""How a number is written for a person: never without its interval."""

from __future__ import annotations

from lmia.evidence.estimate import Estimate

NONE = "-"


def interval(estimate: Estimate | None) -> str:
    """Write a value with its interval.

    Example:
        >>> interval(Estimate(0.9391, 0.92, 0.956, 0.95, "DeLong", 800)), interval(None)
        ('0.939 [0.920, 0.956]', '-')
    """
    return NONE if estimate is None else str(estimate)


def signed(estimate: Estimate | None) -> str:
    """Write a difference with its interval and signs.

    Example:
        >>> signed(Estimate(0.045, -0.01, 0.1, 0.95, "paired DeLong", 800))
        '+0.045 [-0.010, +0.100]'
    """
    return NONE if estimate is None else f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def percent(estimate: Estimate | None) -> str:
    """Write a share in percent with its interval.

    Example:
        >>> percent(Estimate(0.48, 0.331, 0.602, 0.95, "bootstrap", 800))
        '48.0 % [33.1, 60.2]'
    """
    if estimate is None:
        return NONE
    return f"{100 * estimate.value:.1f} % [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def rate(share: float) -> str:
    """Write a false positive rate, or any exact share, in percent.

    Example:
        >>> rate(0.01), rate(0.001), rate(0.00025)
        ('1 %', '0.1 %', '0.025 %')
    """
    return f"{100 * share:.6g} %"


def rough(share: float) -> str:
    """Write a share that is itself an expectation, in percent, to three figures.

    Example:
        >>> rough(0.0101597)
        '1.02 %'
    """
    return f"{100 * share:.3g} %"


def count(number: int) -> str:
    """Write a count.

    Example:
        >>> count(27000)
        '27,000'
    """
    return f"{number:,}"


def scalar(value: object) -> str:
    """Write any plain value as a cell: floats to four digits, truth as yes and no, nothing as a dash.

    Example:
        >>> scalar(0.123456), scalar(True), scalar(None), scalar(2024), scalar(["a", 1])
        ('0.1235', 'yes', '-', '2024', 'a, 1')
    """
    if value is None or value in ("", [], (), {}):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {scalar(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(scalar(item) for item in value)
    return str(value)

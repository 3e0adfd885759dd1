"""What no mask of a class may be, as data: too large, too small, of another form than the thing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

from scribblegen.classes import is_file, load_classes
from scribblegen.option_parser import did_you_mean
from scribblegen.text_files import cut, read_text, shown
from scribblegen.yaml_files import parse_yaml

SHIPPED = ("voc",)
NONE = "none"


@dataclass(frozen=True)
class MaskShape:
    """Of the pixels of one class.

    Args:
        area: share of the image that they cover.
        aspect: width over height of the box around their largest connected part.
        fill: share of that box that this part covers.
    """

    area: float
    aspect: float
    fill: float


@dataclass(frozen=True, kw_only=True)
class MaskRule:
    """Bounds of a `MaskShape`, each of which is allowed itself; None for none."""

    min_area: float | None = None
    max_area: float | None = None
    min_aspect: float | None = None
    max_aspect: float | None = None
    min_fill: float | None = None


MaskRules = Mapping[str, MaskRule]  # by class name
_BOUNDS = tuple(field.name for field in fields(MaskRule))


def read_mask_rules(name: str | None, names: Sequence[str], *, dense: bool = True) -> MaskRules:
    """Rules by their name, or of a YAML file that maps classes to bounds.

    Classes are found however their case is, and their spaces, hyphens and underscores. Those of
    shipped rules that are no classes here are passed over.

    Args:
        name: `none`, one of `SHIPPED`, or a file. None for `voc` where the classes are VOC's and
            labels are dense, as the rules are of whole masks; else none.
        names: the classes, in id order.
        dense: whether labels are masks, not scribbles.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not of that form, or of a class that there is not.
    """
    if name is None:
        is_voc = [*map(_plain, names)] == [*map(_plain, load_classes("voc").names)]
        name = "voc" if is_voc and dense else NONE
    if name == NONE:
        return {}
    path, where = Path(name), f"`mask_rules` {cut(name)}"
    if name in SHIPPED:
        folder = resources.files("scribblegen") / "label_spaces" / "mask_rules"
        text = (folder / f"{name}.yaml").read_text("utf-8")
    elif is_file(path):
        text = read_text(path, "`mask_rules`")
    else:
        raise FileNotFoundError(
            f"`mask_rules` must be {NONE}, {', '.join(SHIPPED)} or a YAML file. Got {shown(name)}, "
            "which is none."
        )
    data = parse_yaml(text, where)
    if not isinstance(data, dict):
        raise ValueError(f"{where} must map classes to bounds. Got {shown(data)}.")
    rules = {}
    known = {_plain(known): known for known in names}
    for key, bounds in data.items():
        found = key if key in names else known.get(_plain(str(key)))
        rule = _rule(bounds, f"{where}: {cut(str(key))}")
        if found is not None:
            rules[found] = rule
        elif name not in SHIPPED:
            raise ValueError(
                f"{where} must be of the classes {shown(list(names))}. Got {shown(key)}."
                f"{did_you_mean(str(key), list(names))}"
            )
    return rules


def fault_of(name: str, shape: MaskShape, rule: MaskRule) -> str | None:
    """Which bound a mask goes beyond, in words; None where it keeps them all.

    What comes before `: ` names the bound, what comes after it the mask's own figure.
    """
    area, aspect, fill = _percent(shape.area), f"{shape.aspect:.2f}", _percent(shape.fill)
    largest, smallest = _percent(rule.max_area), _percent(rule.min_area)
    widest, narrowest, emptiest = rule.max_aspect, rule.min_aspect, _percent(rule.min_fill)
    told = (
        (_above(shape.area, rule.max_area), f"covers more than {largest} of the image: {area}"),
        (_below(shape.area, rule.min_area), f"covers less than {smallest} of the image: {area}"),
        (_above(shape.aspect, widest), f"is more than {widest} times as wide as high: {aspect}"),
        (
            _below(shape.aspect, narrowest),
            f"is less than {narrowest} times as wide as high: {aspect}",
        ),
        (_below(shape.fill, rule.min_fill), f"fills less than {emptiest} of its box: {fill}"),
    )
    return next((f"mask of {name} {text}" for is_beyond, text in told if is_beyond), None)


def _rule(bounds: object, where: str) -> MaskRule:
    if not isinstance(bounds, dict) or not bounds or not set(bounds) <= set(_BOUNDS):
        raise ValueError(f"{where} must map some of {list(_BOUNDS)} to numbers. Got {bounds!r}.")
    for bound, value in bounds.items():
        most = math.inf if bound.endswith("aspect") else 1
        if type(value) not in (int, float) or not 0 <= value <= most:
            allowed = "0 or more" if most > 1 else "a share, in [0, 1]"
            raise ValueError(f"{where}: `{bound}` must be {allowed}. Got {shown(value)}.")
    rule = MaskRule(**{bound: float(value) for bound, value in bounds.items()})
    for least, greatest in ((rule.min_area, rule.max_area), (rule.min_aspect, rule.max_aspect)):
        if least is not None and greatest is not None and least > greatest:
            raise ValueError(f"{where}: no mask is both above {least:g} and below {greatest:g}.")
    return rule


def _below(value: float, least: float | None) -> bool:
    return least is not None and value < least


def _above(value: float, greatest: float | None) -> bool:
    return greatest is not None and value > greatest


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.3g} %"


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_")

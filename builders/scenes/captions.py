"""The caption of a scene, and every word that captions are made of.

"a photo of a red ball and a bus on grass and an airship in a dusk sky". Backgrounds, light and all
objects are always named; a colour or a sub-class only where the scene says so.
"""

from scribblegen.builders.scenes.composition import Composition, PlacedObject
from scribblegen.builders.scenes.kinds import BACKGROUNDS, COLOURS, LIGHTS, OBJECT_KINDS

START = "a photo of"
AND = "and"
ON = {"grass": "on grass", "water": "in water", "sand": "on sand"}
IN_SKY, UNDER_SKY = "in", "under"
OVER, BESIDE = "over", "by"
IN_LIGHT, LIGHT = "in", "light"


def caption(composition: Composition) -> str:
    """One sentence, its words from `SCENE_VOCABULARY`."""
    light = composition.light.name
    sky = f"{_with_article(light)} sky"
    upper, lower = composition.upper, composition.lower
    groups = {
        place: [thing for thing in composition.objects if thing.place == place]
        for place in (lower, upper)
        if place is not None
    }
    words = []
    for place, members in groups.items():
        if members:
            where = f"{IN_SKY} {sky}" if place == "sky" else ON[place]
            words.append(f"{f' {AND} '.join(_name(thing) for thing in members)} {where}")
    text = f"{START} {f' {AND} '.join(words)}"
    if upper is not None and not groups[upper]:
        text += f" {UNDER_SKY} {sky}" if upper == "sky" else f" {BESIDE} {upper}"
    elif not groups[lower]:
        text += f" {OVER} {lower}" if upper == "sky" else f" {BESIDE} {lower}"
    if "sky" not in (upper, lower):
        text += f" {IN_LIGHT} {light} {LIGHT}"
    return text


def _name(thing: PlacedObject) -> str:
    noun = thing.kind.phrase if thing.names_kind else thing.kind.class_name
    return _with_article(f"{thing.colour} {noun}" if thing.names_colour else noun)


def _with_article(phrase: str) -> str:
    return f"an {phrase}" if phrase[0] in "aeio" else f"a {phrase}"


def _vocabulary() -> tuple[str, ...]:
    phrases = [START, "an", AND, *ON.values(), IN_SKY, UNDER_SKY, OVER, BESIDE, IN_LIGHT, LIGHT]
    phrases += [*BACKGROUNDS, *(named.name for named in (*COLOURS, *LIGHTS))]
    phrases += [phrase for kind in OBJECT_KINDS for phrase in (kind.class_name, kind.phrase)]
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))


SCENE_VOCABULARY = _vocabulary()

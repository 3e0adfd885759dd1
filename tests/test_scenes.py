import numpy as np
import pytest

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.scenes.captions import SCENE_VOCABULARY
from scribblegen.builders.scenes.composition import compose
from scribblegen.builders.scenes.kinds import COLOURS, OBJECT_KINDS, SCENE_CLASSES
from scribblegen.builders.scenes.layers import Look, colour
from scribblegen.builders.scenes.painter import DrawnObject, Scene, render_scene
from scribblegen.builders.scenes.source import SCENES_VERSION, SceneSource
from scribblegen.builders.sources import open_source
from scribblegen.classes import IGNORE_INDEX
from scribblegen.images import resize_label
from scribblegen.records import Sample, check_sample

COUNT = 300


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(index, height=64, width=64) for index in range(COUNT)]


def first_column(mask: np.ndarray, source_id: str) -> np.ndarray:
    scribble = np.full_like(mask, IGNORE_INDEX)
    scribble[:, :2] = mask[:, :2]
    return scribble


def colour_word(image: np.ndarray, where: np.ndarray) -> str:
    """The word of most of the saturated pixels, each counted by saturation times value."""
    rgb = image[where].astype(np.float64) / 255
    value, spread = rgb.max(1), np.ptp(rgb, axis=1)
    vivid = spread > 0.3 * value
    red, green, blue = rgb.T
    hue = np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue))
    away = np.abs((hue[:, None] - [c.hue for c in COLOURS] + 180) % 360 - 180)
    votes = np.bincount(away.argmin(1), weights=spread * vivid, minlength=len(COLOURS))
    return COLOURS[int(votes.argmax())].name


def pairs(scenes: list[Scene]) -> list[tuple[Scene, DrawnObject]]:
    return [(scene, thing) for scene in scenes for thing in scene.objects]


def test_a_scene_is_drawn_the_same_every_time(scenes):
    for index in (0, 7, 123):
        again = render_scene(index, height=64, width=64)
        assert np.array_equal(again.image, scenes[index].image)
        assert np.array_equal(again.mask, scenes[index].mask)
        assert (again.caption, again.objects) == (scenes[index].caption, scenes[index].objects)


def test_another_index_or_another_seed_is_another_scene(scenes):
    assert len({scene.image.tobytes() for scene in scenes}) == COUNT
    other = render_scene(0, height=64, width=64, seed=1)
    assert not np.array_equal(other.image, scenes[0].image)


def test_images_are_rgb_bytes_and_masks_hold_class_ids_only(scenes):
    for scene in scenes:
        assert scene.image.shape == (64, 64, 3) and scene.image.dtype == np.uint8
        assert scene.mask.shape == (64, 64) and scene.mask.dtype == np.uint8
        assert scene.mask.max() < len(SCENE_CLASSES)


def test_every_class_and_every_sub_class_appears(scenes):
    present = np.zeros(len(SCENE_CLASSES), int)
    for scene in scenes:
        present[np.unique(scene.mask)] += 1
    assert (present[:4] >= 0.12 * COUNT).all(), present
    assert (present[4:] >= 0.08 * COUNT).all(), present
    assert {thing.phrase for _, thing in pairs(scenes)} == {kind.phrase for kind in OBJECT_KINDS}


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (130, 70)])
def test_the_same_scene_at_another_size_shows_the_same_things(height, width):
    for index in range(20):
        small = render_scene(index, height=height, width=width)
        large = render_scene(index, height=3 * height, width=3 * width)
        assert small.image.shape == (height, width, 3)
        assert large.mask.shape == (3 * height, 3 * width)
        assert small.caption == large.caption
        assert (resize_label(large.mask, height, width) == small.mask).mean() > 0.95
        shrunk = large.image.reshape(height, 3, width, 3, 3).mean((1, 3))
        assert np.abs(shrunk - small.image).mean() < 6


def test_captions_use_every_word_of_a_small_vocabulary_and_no_other(scenes):
    words = {word for scene in scenes for word in scene.caption.split()}
    assert words == set(SCENE_VOCABULARY)
    assert len(SCENE_VOCABULARY) <= 80
    assert list(SCENE_VOCABULARY) == sorted(set(SCENE_VOCABULARY))


def test_a_caption_names_exactly_the_classes_of_the_mask(scenes):
    phrases = {kind.phrase: kind.class_name for kind in OBJECT_KINDS}
    for scene in scenes:
        text = scene.caption
        for phrase in sorted(phrases, key=len, reverse=True):
            text = text.replace(phrase, phrases[phrase])
        named = {name for name in SCENE_CLASSES.names if name in text.split()}
        assert named == {SCENE_CLASSES.names[i] for i in np.unique(scene.mask)}, scene.caption


def test_a_caption_counts_its_objects_and_tells_the_light(scenes):
    for index, scene in enumerate(scenes):
        upper, _, rest = scene.caption.partition("a photo of ")
        assert upper == "" and 1 <= len(scene.objects) <= 4
        assert rest.count(" and ") == len(scene.objects) - 1
        assert compose(index, 0).light.name in rest.split()


def test_articles_agree_with_the_word_that_follows(scenes):
    for scene in scenes:
        words = scene.caption.split()
        for article, word in zip(words, words[1:], strict=False):
            if article in ("a", "an"):
                assert (article == "an") == (word[0] in "aeiou"), scene.caption


def test_some_captions_tell_colours_and_sub_classes_and_some_do_not(scenes):
    things = [thing for index in range(COUNT) for thing in compose(index, 0).objects]
    assert 0.5 < np.mean([thing.names_colour for thing in things]) < 0.7
    assert 0.4 < np.mean([thing.names_kind for thing in things]) < 0.6


def test_colour_words_agree_with_the_pixels_of_the_object(scenes):
    told = [
        (thing.colour, colour_word(scene.image, scene.instances == thing.number))
        for scene, thing in pairs(scenes)
    ]
    wrong = [words for words in told if words[0] != words[1]]
    assert not wrong, wrong


def test_every_object_is_seen_within_its_box_and_has_its_class_there(scenes):
    for scene, thing in pairs(scenes):
        seen = scene.instances == thing.number
        left, top, right, bottom = thing.box
        assert seen[top:bottom, left:right].sum() == seen.sum() >= 40
        assert set(scene.mask[seen]) == {SCENE_CLASSES.names.index(thing.class_name)}
        assert scene.mask[scene.instances == 0].max() < 4


def test_objects_are_where_they_belong(scenes):
    places = {kind.phrase: kind.places for kind in OBJECT_KINDS}
    for index in range(COUNT):
        for thing in compose(index, 0).objects:
            assert thing.place in places[thing.kind.phrase]


@pytest.mark.parametrize("kind", OBJECT_KINDS, ids=lambda kind: kind.phrase)
@pytest.mark.parametrize("trait", [0.0, 0.6, 0.999])
def test_a_drawing_fills_the_half_sizes_of_its_kind_and_no_more(kind, trait):
    axis = np.linspace(-1.5, 1.5, 301, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    look = Look(colour(1, 0, 0), colour(1, 1, 1), 1.0, (trait, trait, trait, trait))
    layers = kind.draw(x, y, look)
    inside = np.min([layer.distance for layer in layers if not layer.detail], axis=0) < 0
    half_width, half_height = kind.half
    assert 0.75 * half_width < np.abs(x[inside]).max() <= half_width + 0.03
    assert -half_height - 0.03 <= y[inside].min() < -0.65 * half_height
    assert 0.85 * half_height < y[inside].max() <= half_height + 0.03


def test_the_mask_follows_the_edges_of_the_image(scenes):
    # Brightness jumps between pixels of two labels, and hardly between pixels of one.
    across, within = [], []
    for scene in scenes[:100]:
        jump = np.abs(np.diff(scene.image.astype(int), axis=1)).sum(2)
        border = np.diff(scene.instances.astype(int), axis=1) != 0
        across.append(jump[border].mean())
        within.append(jump[~border].mean())
    assert np.mean(across) > 5 * np.mean(within)


def test_a_mask_one_pixel_off_follows_them_less(scenes):
    def contrast(shift: int) -> float:
        total = 0.0
        for scene in scenes[:100]:
            jump = np.abs(np.diff(scene.image.astype(int), axis=1)).sum(2)
            border = np.diff(np.roll(scene.instances, shift, axis=1).astype(int), axis=1) != 0
            total += float(jump[border].mean())
        return total

    assert contrast(0) > 1.3 * max(contrast(-1), contrast(1))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="`index`"):
        render_scene(-1)
    with pytest.raises(ValueError, match="`height` and `width`"):
        render_scene(0, height=8)


def test_a_scene_source_reads_scenes_by_their_absolute_number(scenes):
    source = SceneSource(5, 9, size=64, scribble=first_column)
    assert source.source_ids[0] == "scene-000005" and len(source) == 4
    sample = source.read(2)
    assert isinstance(sample, Sample) and sample.source_id == "scene-000007"
    assert np.array_equal(sample.image, scenes[7].image)
    assert sample.prompt == scenes[7].caption and sample.mask is not None
    assert np.array_equal(sample.scribble, first_column(scenes[7].mask, ""))
    assert check_sample(sample, SCENE_CLASSES) is None
    assert np.array_equal(source.load(-1).image, scenes[8].image)


def test_the_fingerprint_of_a_scene_source_tells_range_seed_and_size_apart():
    def fingerprint(*scene_range: int, **options: int) -> str:
        return SceneSource(*scene_range, scribble=first_column, **options).fingerprint()

    prints = [
        fingerprint(0, 4),
        fingerprint(0, 5),
        fingerprint(1, 5),
        fingerprint(0, 4, seed=1),
        fingerprint(0, 4, size=96),
    ]
    assert len(set(prints)) == len(prints) and prints[0] == fingerprint(0, 4)
    assert f"scenes {SCENES_VERSION} " in SceneSource(scribble=first_column).content_keys()[0]


@pytest.mark.parametrize(("start", "stop", "size"), [(-1, 4, 64), (4, 4, 64), (0, 4, 8)])
def test_an_empty_range_or_a_tiny_size_is_refused(start, stop, size):
    with pytest.raises(ValueError, match="`start`|`size`"):
        SceneSource(start, stop, size=size, scribble=first_column)


def test_scenes_of_one_light():
    every = open_source(ScenesConfig(ids="0:40"))
    dusk = open_source(ScenesConfig(ids="0:40@dusk", test_ids="0:40@night", max_samples=3))
    night = open_source(ScenesConfig(ids="0:40@dusk", test_ids="0:40@night"), "test")
    assert len(dusk) == 3 and 0 < len(night) < 40
    assert set(dusk.source_ids).isdisjoint(night.source_ids)
    for number, source_id in enumerate(dusk.source_ids):
        there = every.read(every.source_ids.index(source_id))
        assert np.array_equal(dusk.read(number).image, there.image) and "dusk" in there.prompt
    with pytest.raises(ValueError, match="`light` must be one of .*'dusk'.* Got 'noon'"):
        open_source(ScenesConfig(ids="0:40@noon"))

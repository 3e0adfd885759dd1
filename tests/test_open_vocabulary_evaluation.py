"""A trained segmentor of any words: opened, measured by a protocol, and shown photographs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.classes import IGNORE_INDEX, load_classes, present_classes
from scribblegen.cli import main
from scribblegen.trainers.open_vocabulary.background import Background, winners
from scribblegen.trainers.open_vocabulary.evaluation import (
    Evaluation,
    EvaluationConfig,
    evaluate,
    evaluation_of,
)
from scribblegen.trainers.open_vocabulary.model import OpenVocabularyConfig, OpenVocabularyModel
from scribblegen.trainers.open_vocabulary.opening import open_segmentor
from scribblegen.trainers.open_vocabulary.protocols import PROTOCOLS, Protocol, load_protocol
from tests.test_open_vocabulary_model import TOKENIZER, clip_config

NONE = IGNORE_INDEX
SCORES = torch.tensor([[[0.9, 0.4, 0.1]], [[0.2, 0.3, 0.2]], [[0.1, 0.6, 0.05]]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("openvoc")
    torch.manual_seed(0)
    OpenVocabularyModel(OpenVocabularyConfig(clip_config(), side=32)).save_pretrained(path)
    TOKENIZER.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def segmentor(folder):
    return open_segmentor(str(folder))


class Knowing:
    """Finds what a table of colours says; every word's score is of its place in the words."""

    def __init__(self, source, names):
        self.source, self.names, self.wrong = source, names, {}

    def texts(self, words):
        return tuple(words)

    def scores(self, image, texts):
        mask = next(
            sample.mask for sample in map(self.source.read, range(len(self.source)))
            if np.array_equal(sample.image, image)
        )  # fmt: skip
        called = np.array([self.wrong.get(name, name) for name in self.names])[mask]
        return torch.stack([torch.from_numpy((called == text) * 0.8 + 0.1) for text in texts])


@pytest.fixture(scope="module")
def scenes():
    return open_source(ScenesConfig(ids="0:3", scene_size=64))


@pytest.mark.parametrize(
    ("background", "expected"),
    [
        (Background(), [0, 2, 1]),
        (Background("threshold", 0.5), [0, 2, NONE]),
        (Background("words", words=("sky",)), [0, NONE, 1]),
    ],
)
def test_a_pixel_is_the_best_word_or_none(background, expected):
    number = 2 if background.words else 3
    word, best = winners(SCORES, number, background, (1, 3))
    assert word.tolist() == [expected] and word.dtype == np.uint8
    assert best.tolist() == [pytest.approx([0.9, 0.6, 0.2])]


def test_scores_are_brought_to_the_picture_s_size():
    word, best = winners(SCORES, 3, Background(), (2, 6))
    assert word.shape == best.shape == (2, 6)
    assert word[0].tolist()[0] == 0 and word[0].tolist()[3] == 2 and word[0].tolist()[-1] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("always",), "`background_rule` must be one of"),
        (("threshold",), "`background_threshold` must be given"),
        (("none", 0.3), "`background_threshold` must be given with `background_rule` threshold"),
        (("words",), "`background_words` must be given"),
        (("threshold", 1.0), "between 0 and 1"),
    ],
)
def test_rules_that_say_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Background(*options)


def test_protocols_that_ship():
    found = {name: load_protocol(name) for name in PROTOCOLS}
    sizes = {"voc20": 20, "voc21": 21, "context59": 59, "coco81": 81}
    assert {name: len(protocol.names) for name, protocol in found.items()} == sizes
    assert set(load_classes("voc").names) == set(found["voc21"].names)
    table = found["voc21"].table(load_classes("voc").names)
    assert table[0] == 20 and table[1] == 0 and table[IGNORE_INDEX] == IGNORE_INDEX
    assert found["voc20"].table(load_classes("voc").names)[0] == IGNORE_INDEX


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: cat", "`classes`, a list"),
        ("classes: [cat, cat]", "differ"),
        ("classes: [cat]\nbackgroud: sky", "Did you mean"),
    ],
)
def test_files_that_are_no_protocol_are_refused(text, message, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_protocol(str(path))
    with pytest.raises(ValueError, match="`protocol` must be one of"):
        load_protocol("voc22")


def test_measured_against_masks(scenes):
    names = scenes.classes.names
    knowing = Knowing(scenes, names)
    whole = evaluate(knowing, scenes, Evaluation(Protocol(names)))
    assert whole["mean_iou"] == 1 and whole["images"] == 3 and not whole["rejected"]
    seen_there = {names[i] for i in present_classes(scenes.read(0).mask)} - {"sky"}
    one, other_name = sorted(seen_there)[0], sorted(set(names) - seen_there - {"sky"})[0]
    knowing.wrong = {one: other_name}
    unseen = (names.index(one),)
    found = evaluate(knowing, scenes, Evaluation(Protocol(names), unseen))
    assert found["iou"][one] == found["mean_iou_unseen"] == found["harmonic_mean_iou"] == 0
    assert found["iou"]["sky"] == 1 and found["mean_iou_seen"] <= 1
    # Behind an offset larger than what scores differ by, only the unseen class is found.
    other = evaluate(knowing, scenes, Evaluation(Protocol(names), unseen, seen_offset=0.9))
    assert other["iou"]["sky"] == 0


def test_pixels_of_other_classes_are_left_out_or_background(scenes):
    knowing = Knowing(scenes, scenes.classes.names)
    some = ("sky", "grass")
    left_out = evaluate(knowing, scenes, Evaluation(Protocol(some)))
    assert set(left_out["iou"]) == set(some) and left_out["mean_iou"] == 1
    with_words = Protocol(some, "water", Background("words", words=("water",)))
    found = evaluate(knowing, scenes, Evaluation(with_words))
    assert found["iou"].keys() == {"sky", "grass", "water"}
    assert all(np.isnan(iou) or iou == 1 for iou in found["iou"].values())


def test_options_are_checked_against_the_source(scenes):
    names = scenes.classes.names
    with pytest.raises(ValueError, match="`protocol` must have classes of the source alone"):
        evaluation_of(EvaluationConfig(protocol="voc21"), names)
    with pytest.raises(ValueError, match="`background_rule` must be given"):
        evaluation_of(EvaluationConfig(background_threshold=0.5), names)
    with pytest.raises(ValueError, match="`unseen_classes` must be classes"):
        evaluation_of(EvaluationConfig(unseen_classes=["zebra"]), names)
    with pytest.raises(ValueError, match="`seen_offset` has no effect"):
        EvaluationConfig(seen_offset=0.1)
    asked = evaluation_of(EvaluationConfig(unseen_classes=["boat"], seen_offset=0.1), names)
    assert asked.unseen == (names.index("boat"),) and asked.protocol.classes == names


def test_one_window_is_the_whole_picture_and_windows_cover_a_wide_one(segmentor):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 32, 3), np.uint8)
    texts = segmentor.texts(["balloon", "red car"])
    scores = segmentor.scores(image, texts)
    shown = torch.tensor(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert torch.allclose(scores, torch.sigmoid(segmentor.model(shown, texts[None]))[0], atol=1e-6)
    wide = segmentor.scores(rng.integers(0, 256, (64, 160, 3), np.uint8), texts)
    assert wide.shape == (2, 32, 80) and float(wide.min()) > 0 and float(wide.max()) < 1


def test_an_opened_model_does_not_learn_in_its_clip(segmentor):
    learns = {name for name, p in segmentor.model.named_parameters() if p.requires_grad}
    assert learns and not any(name.startswith("clip.") for name in learns)


def test_what_is_no_segmentor_of_words_is_refused(tmp_path):
    with pytest.raises(OSError, match="`model`"):
        open_segmentor(str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text('{"model_type": "segformer"}')
    with pytest.raises(OSError, match="type scribblegen-open-vocabulary"):
        open_segmentor(str(tmp_path))


def test_photographs_become_masks_pictures_and_figures(folder, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, size in (("a/street.png", (40, 60)), ("b/street.png", (50, 50))):
        path = tmp_path / name
        path.parent.mkdir()
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path)
    turned = Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright it is 60 high
    turned.save(tmp_path / "b" / "turned.jpg", exif=exif)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    out = tmp_path / "out"
    photographs = [tmp_path / "a" / "street.png", tmp_path / "b", tmp_path / "broken.jpg"]
    words = ["--classes", "balloon", "red car", "--background_rule", "none"]
    main(["segment", *map(str, photographs), "--model", str(folder), "--output_dir", str(out)]
         + words)  # fmt: skip
    told = capsys.readouterr().out
    assert "broken.jpg: left out" in told and "1 of 4 photographs left out" in told
    assert {path.name for path in out.glob("*.png")} == {
        "street.png",
        "street-2.png",
        "turned.png",
    }
    sizes = {"street": (40, 60), "street-2": (50, 50), "turned": (60, 40)}
    for name, size in sizes.items():
        mask = np.asarray(Image.open(out / f"{name}.png"))
        said = json.loads((out / f"{name}.json").read_text())
        assert mask.shape == size == (said["height"], said["width"])
        assert set(np.unique(mask)) <= {0, 1}
        shares = [word["share"] for word in said["words"]]
        assert shares == [(mask == 0).mean(), (mask == 1).mean()]
        assert said["none_of_them"]["share"] == 0
        overlay = Image.open(out / f"{name}_overlay.jpg")
        assert overlay.height > min(overlay.width, 320)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--classes", "cat", "cat"], "`names` must differ"),
        (["--classes", "cat", "--background_rule", "some"], "`background_rule` must be one of"),
        (["--classes", "cat", "--model", "nowhere"], "`model` nowhere"),
    ],
)
def test_wrong_options_of_segment_are_refused(folder, tmp_path, more, message):
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 40)).save(path)
    options = ["--model", str(folder), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=message):
        main(["segment", str(path), *options, *more])
    with pytest.raises(SystemExit, match="`photographs` must be pictures"):
        main(["segment", str(tmp_path / "none.png"), *options, "--classes", "cat"])


def test_segment_writes_over_nothing_but_its_own_results(folder, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    Image.new("RGB", (40, 40), (200, 30, 30)).save(own / "p.png")
    Image.new("RGB", (40, 40)).save(own / "q.jpg")
    before = {path.name: path.read_bytes() for path in own.iterdir()}

    def run(photograph, out):
        main(["segment", str(photograph), "--model", str(folder), "--classes", "cat"]
             + ["--output_dir", str(out)])  # fmt: skip

    with pytest.raises(SystemExit, match=r"own/p\.png is there already, and would be lost"):
        run(own / "p.png", own)
    other = tmp_path / "elsewhere"
    other.mkdir()
    Image.new("RGB", (40, 40)).save(other / "p.jpg")  # whose mask would be called p.png
    with pytest.raises(SystemExit, match=r"own/p\.png is there already"):
        run(other / "p.jpg", own)
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before

    for _ in range(2):  # again over its own results, which are no photographs
        run(own, own / "found")
        assert {path.name for path in (own / "found").iterdir()} == {
            name + ending for name in "pq" for ending in (".png", "_overlay.jpg", ".json")
        }
    assert all((own / name).read_bytes() == data for name, data in before.items())
    with pytest.raises(SystemExit, match="is there already"):  # a result, as a photograph
        run(own / "found" / "p.png", own / "found")


def test_a_folder_that_cannot_be_written_is_no_damaged_photograph(folder, tmp_path, capsys):
    Image.new("RGB", (40, 40)).save(tmp_path / "p.png")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SystemExit):
        main(["segment", str(tmp_path / "p.png"), "--model", str(folder), "--classes", "cat"]
             + ["--output_dir", str(tmp_path / "out")])  # fmt: skip
    assert "left out" not in capsys.readouterr().out


def test_the_evaluation_command_writes_what_it_measures(folder, tmp_path, capsys):
    main(
        ["evaluate-open-vocabulary", "--model", str(folder), "--ids", "0:2", "--scene_size", "64"]
        + ["--unseen_classes", "boat", "--output_dir", str(tmp_path / "out")]
    )
    said = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert said["images"] == 2 and len(said["iou"]) == 12 and "harmonic_mean_iou" in said
    assert f"mean_iou {' ' * 23} {said['mean_iou']:.4f}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="`model` must be given"):
        main(["evaluate-open-vocabulary", "--ids", "0:2"])

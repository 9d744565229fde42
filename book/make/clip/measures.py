"""What a small CLIP is worth, in four measures that are the same for every task. Each gives a row of a table.

- *Agreement*: random pairs of pictures. Of those whose levels (by the scripted annotator) differ, the share of decided
  answers that prefer the higher one, and the share of ties; Cohen's kappa over three answers, with pairs of one level
  (where the scripted annotator says tie) among them. A picture need not show all that is true: ``shown`` is the same
  agreement with levels of what the picture shows.
- *Scores*: the mean score of each level.
- *Facts*: sentences for and against a fact; right where those that are true get more than half of the softmax.
- *Retrieval*: each picture's full caption; the share of pictures that find their own among all of them.

Source: zero-shot classification and retrieval as in CLIP (arXiv 2103.00020).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from sensei_lite.annotators.agreement import cohen_kappa
from sensei_lite.annotators.clip.annotator import ClipAnnotator

Row = dict[str, Any]
Vectors = Float[np.ndarray, "n embedding"]


class Fact(NamedTuple):
    """Something that a picture shows or does not show."""

    holds: Callable[[Any], Any]
    """Whether it holds, for every scene of many."""
    among: Callable[[Any], Any]
    """Among which scenes it is asked."""
    yes: tuple[str, ...]
    """Sentences for it."""
    no: tuple[str, ...]
    """Sentences against it."""


def agreement_row(
    scores: Float[np.ndarray, " n"],
    levels: Int[np.ndarray, " n"],
    shown: Int[np.ndarray, " n"],
    margin: float,
    pairs: int = 10_000,
) -> Row:
    """Compute the agreement with the scripted annotator's ``levels``, and with those shown, on random pairs."""
    random = np.random.default_rng(0)
    first, second = random.integers(0, len(scores), (2, pairs))
    said = _compare(scores[first], scores[second], margin)
    truth = np.sign(levels[first] - levels[second])
    table = np.zeros((3, 3))
    np.add.at(table, (truth + 1, said + 1), 1)
    kappa = cohen_kappa(table)
    decided = (truth != 0) & (said != 0)
    visible = np.sign(shown[first] - shown[second])
    return {
        "pairs": int((truth != 0).sum()),
        "agreement": share((truth == said)[decided]),
        "tied": share(said[truth != 0] == 0),
        "kappa": round(kappa.value, 3),
        "kappa_low": round(kappa.low, 3),
        "kappa_high": round(kappa.high, 3),
        "shown": share((visible == said)[(visible != 0) & (said != 0)]),
    }


def share(holds: np.ndarray, digits: int = 4) -> float | str:
    """Compute the share of true ones; empty where there are none to ask."""
    return round(float(holds.mean()), digits) if holds.size else ""


def _compare(a: np.ndarray, b: np.ndarray, margin: float) -> Int[np.ndarray, " pairs"]:
    """Compare scores: 1 where a is more interesting, -1 where b is, 0 for a tie."""
    return np.where(abs(a - b) < margin, 0, np.sign(a - b)).astype(np.int64)


def score_row(scores: Float[np.ndarray, " n"], shown: Int[np.ndarray, " n"], names: Sequence[str]) -> Row:
    """Compute the mean score of each level that the pictures show; empty where there is none of a level."""
    return {
        name: round(float(scores[shown == i].mean()), 3) if (shown == i).any() else "" for i, name in enumerate(names)
    }


def fact_row(annotator: ClipAnnotator, vectors: Vectors, scene: Any, facts: Mapping[str, Fact], fewest: int = 1) -> Row:
    """Compute the balanced accuracy of each fact: the mean of the shares found among true and among untrue ones.

    Empty where it holds for fewer than ``fewest`` of the pictures (whose vectors `vectors_of` gives), or for all but so
    few.
    """
    row: Row = {}
    for name, fact in facts.items():
        asked = np.asarray(fact.among(scene), bool)
        holds = np.asarray(fact.holds(scene), bool)[asked]
        if min(holds.sum(), (~holds).sum()) < fewest:
            row[name] = ""
            continue
        said = _fact_said(annotator, vectors[asked], fact.yes, fact.no)
        row[name] = round(float((said[holds].mean() + (~said)[~holds].mean()) / 2), 3)
    return row


def _fact_said(
    annotator: ClipAnnotator, vectors: Vectors, yes: tuple[str, ...], no: tuple[str, ...]
) -> Bool[np.ndarray, " n"]:
    logits = annotator.model.logit_scale * vectors @ annotator.model.embed_texts((*yes, *no)).T
    chances = np.exp(logits - logits.max(1, keepdims=True))
    # Means, so that a side does not win by having more sentences.
    return chances[:, : len(yes)].mean(1) > chances[:, len(yes) :].mean(1)


class Retrieval(NamedTuple):
    """What pictures and full captions find of each other."""

    distinct: list[str]
    """All captions, each once."""
    own: Int[np.ndarray, " n"]
    """Which of them is each picture's."""
    found: Int[np.ndarray, " n"]
    """Which of them each picture is most similar to."""
    picture_found: float
    """How often a caption finds its own among pictures of distinct scenes."""

    def row(self) -> Row:
        """Compute the table's row: the shares found, and that by chance."""
        return {
            "captions": len(self.distinct),
            "caption_of_picture": round(float((self.found == self.own).mean()), 3),
            "picture_of_caption": round(self.picture_found, 3),
            "by_chance": round(1 / len(self.distinct), 3),
        }


def retrieve(annotator: ClipAnnotator, vectors: Vectors, captions: Sequence[str]) -> Retrieval:
    """Compute top-1 retrieval among the distinct ones of the pictures' captions."""
    distinct = sorted(set(captions))
    place = {text: i for i, text in enumerate(distinct)}
    own = np.array([place[text] for text in captions])
    similarity = vectors @ annotator.model.embed_texts(distinct).T
    firsts = np.array([np.flatnonzero(own == i)[0] for i in range(len(distinct))])
    back = (similarity[firsts].argmax(0) == np.arange(len(distinct))).mean()
    return Retrieval(distinct, own, similarity.argmax(1), float(back))


def vectors_of(annotator: ClipAnnotator, images: UInt8[np.ndarray, "n height width channel"]) -> Vectors:
    """Embed pictures as unit vectors."""
    return annotator.model.embed_images(images, annotator.batch)

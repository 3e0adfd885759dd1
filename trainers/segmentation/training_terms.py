"""Which parts of the loss that are means a training has on."""

from typing import Any

from scribblegen.trainers.segmentation.affinity_options import AffinityOptions
from scribblegen.trainers.segmentation.affinity_terms import affinity_terms
from scribblegen.trainers.segmentation.pseudo_label_options import PseudoLabelOptions
from scribblegen.trainers.segmentation.pseudo_label_terms import pseudo_label_terms
from scribblegen.trainers.segmentation.terms import Term


def training_terms(options: Any) -> tuple[Term, ...]:
    """Of the options that there are: those of a classifier have none."""
    terms: tuple[Term, ...] = ()
    if isinstance(options, PseudoLabelOptions):
        terms += pseudo_label_terms(options)
    if isinstance(options, AffinityOptions):
        terms += affinity_terms(options)
    return terms

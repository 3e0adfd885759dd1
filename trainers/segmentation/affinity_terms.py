"""What losses that spread strokes over what looks alike add to the loss of a call."""

from functools import partial

from torch import Tensor

from scribblegen.trainers.segmentation.affinity_options import AffinityOptions
from scribblegen.trainers.segmentation.cells import cells_of, free_cells
from scribblegen.trainers.segmentation.self_labelling import self_labelling_loss
from scribblegen.trainers.segmentation.terms import Batch, Term
from scribblegen.trainers.segmentation.tree_energy import tree_energy_loss


def affinity_terms(options: AffinityOptions) -> tuple[Term, ...]:
    """The terms that are on."""
    counts = partial(free_cells, stride=options.affinity_stride)

    def self_labelling(logits: Tensor, batch: Batch, count: Tensor) -> Tensor:
        return self_labelling_loss(
            cells_of(logits, batch, options.affinity_stride),
            potts_weight=options.potts_weight,
            sigma_rgb=options.potts_sigma_rgb,
            num_steps=options.self_labelling_steps,
            count=count,
        )

    def tree_energy(logits: Tensor, batch: Batch, count: Tensor) -> Tensor:
        cells = cells_of(logits, batch, options.affinity_stride)
        return tree_energy_loss(cells, sigma_rgb=options.tree_sigma_rgb, count=count)

    possible = (
        Term("self_labelling", options.self_labelling_weight, counts, self_labelling),
        Term("tree_energy", options.tree_energy_weight, counts, tree_energy),
    )
    return tuple(term for term in possible if term.weight)

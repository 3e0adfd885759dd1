"""Maps spread along what belongs together: by a network's attention to itself, or a random walk."""

from torch import Tensor

_SMALLEST = 1e-8


def spread_by_attention(maps: Tensor, attention: Tensor, times: int = 4) -> Tensor:
    """Each place takes what the places say that it attends to (Dataset Diffusion, 2309.14303).

    Args:
        maps: (K, h, w) float, not negative.
        attention: (h, w, h w) float, summing to 1 over the last: how much each place attends to
            each.
        times: how often; 0 changes nothing.

    Returns:
        (K, h, w) float32, each map brought to [0, 1] by its own minimum and maximum.
    """
    flat = maps.float().flatten(1)
    for _ in range(times):
        flat = flat @ attention.float().flatten(0, 1).T
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    return ((flat - low) / (high - low).clamp(min=_SMALLEST)).view(maps.shape)


def random_walk(
    maps: Tensor, affinity: Tensor, *, power: float = 16.0, doublings: int = 8
) -> Tensor:
    """Each place takes the mean of the places that it belongs with (AffinityNet, 1803.10464).

    T = colnorm(affinity^power), squared `doublings` times: 2^doublings steps of the walk; maps * T.
    Each place's shares of all places sum to 1, so a constant map, such as a background's score,
    stays what it is.

    Args:
        maps: (K, h, w) float, not negative.
        affinity: (h w, h w) in [0, 1], symmetric, ones on the diagonal.
        power: sharpens it.
        doublings: of the number of steps, which is 1 at first.

    Returns:
        (K, h, w) float32.
    """
    transition = affinity.float() ** power
    transition = transition / transition.sum(dim=0, keepdim=True).clamp(min=_SMALLEST)
    flat = maps.float().flatten(1)
    steps = 2**doublings
    if steps * len(flat) < doublings * len(transition):  # the same walk, with less work
        for _ in range(steps):
            flat = flat @ transition
        return flat.view(maps.shape)
    for _ in range(doublings):
        transition = transition @ transition
    return (flat @ transition).view(maps.shape)

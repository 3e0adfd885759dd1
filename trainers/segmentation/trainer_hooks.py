"""What of transformers' `Trainer` ours stands on though nobody promises it, all in one place.

A test holds it against the installed version, and `pyproject.toml` admits none that was not tested.
To admit the next: raise the cap, run the tests of segmentation, mend what they find.
"""

# Methods that `SegmentationTrainer` overrides, calls, or both, and the parameters that it relies
# on, by name.
PRIVATE_METHODS: dict[str, tuple[str, ...]] = {
    # The sampler in place of a random one.
    "_get_train_sampler": ("train_dataset",),
    # Tells the sampler its epoch, by keyword, before any batch of it is read.
    "_run_epoch": ("epoch",),
    # Counts the labelled pixels of all calls of an optimiser step.
    "_get_num_items_in_batch": ("batch_samples", "device"),
    # Writes the sampler's state into the checkpoint's folder, which `_get_output_dir` is the
    # parent of.
    "_save_checkpoint": ("model", "trial"),
    "_get_output_dir": ("trial",),
    # The stock ones lose weights: transformers#43701.
    "_load_from_checkpoint": ("resume_from_checkpoint", "model"),
    "_load_best_model": (),
    # Moves a batch to the device.
    "_prepare_inputs": ("inputs",),
}

# Names that the Trainer's code reads or sets, which no signature shows: that the loss is one
# call's part of an optimiser step already, and how many calls the step has.
ATTRIBUTES = ("loss_is_scaled_for_ga", "current_gradient_accumulation_steps")

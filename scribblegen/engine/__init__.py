"""The denoiser pool: many trajectories of any length in calls of one fixed shape."""

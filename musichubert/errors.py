"""The error of acoustic features and labels for a mistake that the user can fix."""


class LabelError(ValueError):
    """A codebook, an acoustic feature or stored labels cannot be used; the message says which, and the fix."""

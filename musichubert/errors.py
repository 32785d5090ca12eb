"""The one error the label side raises for a mistake the user can mend."""


class LabelError(ValueError):
    """A codebook, a feature recipe or stored labels cannot be used; the message says which and the fix."""

"""The one error of the conversion."""


class NotConvertible(ValueError):  # noqa: N818 - reads as the verdict that it is
    """A part of the pipeline has no exact counterpart in ONNX.

    Attributes:
        part: the step or estimator, as the pipeline names it.
        reason: why it cannot be converted.
    """

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(
            f"{part} cannot be converted to ONNX: {reason}. "
            "Set deploy.runtime to pycaret to serve the fitted pipeline itself, "
            "or choose another step or estimator."
        )
        self.part = part
        self.reason = reason

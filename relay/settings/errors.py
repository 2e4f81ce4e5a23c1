"""What is wrong with a configuration, all of it at once."""

from relay.domain.errors import RelayError


class ConfigurationError(RelayError):
    """Each problem names the file's key or the variable, and what to do; none repeats a value."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

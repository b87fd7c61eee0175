"""What can be wrong with an evaluation itself: its manifest, its options, what it needs installed, a report it is given.

A single bad item never raises one of these to the top: it is counted under its `code` and the rest goes on.
"""

from voxfleet.errors import CallerError, SettingsError


class BadManifest(CallerError):
    """A list of recordings that can't be used at all: missing, empty, or of no known form."""

    code = "bad_manifest"

    def __init__(self, path: object, why: str) -> None:
        super().__init__(f"{path}: {why}")


class BadOption(CallerError):
    """An option of a measurement that can't be: the sentence says what can."""

    code = "bad_option"

    def __init__(self, option: str, value: object, expected: str) -> None:
        self.option = option
        super().__init__(f"{option} must be {expected}, not {str(value)[:80]!r}")


class BadReport(CallerError):
    """A file that is not a report of this program, or not one that can be compared with the other."""

    code = "bad_report"

    def __init__(self, path: object, why: str) -> None:
        super().__init__(f"{path}: {why}")


class MissingExtra(SettingsError):
    """A measurement needs libraries that serving does not; the sentence names the command that installs them."""

    code = "missing_extra"

    def __init__(self, purpose: str, extra: str, library: str) -> None:
        self.extra = extra
        super().__init__(f"needed for {purpose}: {library}. Install it with: pip install 'voxfleet[{extra}]'")

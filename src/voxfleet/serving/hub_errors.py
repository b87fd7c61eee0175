"""What can go wrong between a model hub and this machine, in sentences that say what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxfleet.errors import EngineError, SettingsError

_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}


class HubFailed(EngineError):
    """The hub can't be reached, or what it sends is not what it promises; trying again may help."""

    code = "hub_failed"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)


@contextmanager
def mapped(repository: str, revision: str, endpoint: str, folder: Path) -> Iterator[None]:
    """Errors of the library, of the network and of the disk as ours."""
    from huggingface_hub import errors

    page = f"{endpoint}/{repository}"
    transport: Any = (*errors.HfHubHTTPError.__bases__, OSError)  # what its HTTP library raises, whichever that is
    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise SettingsError(f"{repository} can't be fetched: HF_HUB_OFFLINE forbids the network") from None
    except errors.GatedRepoError:
        raise SettingsError(
            f"{repository} is gated: accept its terms at {page}, make a token at {endpoint}/settings/tokens, and run the "
            "command with HF_TOKEN set to it"
        ) from None
    except errors.RevisionNotFoundError:
        raise SettingsError(f"{page} has no revision '{revision}'") from None
    except errors.RepositoryNotFoundError:
        raise SettingsError(
            f"there is no model {page}, or it is private: then set HF_TOKEN to a token that may read it"
        ) from None
    except errors.HFValidationError:
        raise SettingsError(f"'{repository}' is no repository: write OWNER/NAME") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise SettingsError(
                f"{endpoint} refuses {repository} ({status}): accept its terms at {page} and set HF_TOKEN to a valid token"
            ) from None
        raise HubFailed(
            f"{endpoint} answered {status} for {repository}; what was fetched is kept, run the command again"
        ) from None
    except transport as error:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise SettingsError(
                f"the disk of {folder} is full; what was fetched is kept, make room and run again"
            ) from None
        if number in _NOT_WRITABLE:
            raise SettingsError(f"can't write to {folder}: {error}") from None
        raise HubFailed(
            f"can't reach {endpoint} ({str(error) or type(error).__name__}); what was fetched is kept, run the command again"
        ) from None

"""A finished folder to the Hugging Face hub, as a new repository of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from alpaca_core.errors import AlpacaError, ConfigError, MissingError

Kind = Literal["dataset", "model"]


def push(folder: Path, name: str, kind: Kind, *, private: bool) -> str:
    """Make the repository ``name`` and put the files of ``folder`` into it; returns its address.

    The token is that of ``hf auth login`` or HF_TOKEN, the server that of HF_ENDPOINT, as huggingface_hub reads them.
    Raises ConfigError for a repository that is there already, MissingError without the package or the permission,
    AlpacaError for what the server says otherwise.
    """
    api = _api()
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        address = api.create_repo(name, repo_type=kind, private=private, exist_ok=False)
        api.upload_folder(folder_path=folder, repo_id=name, repo_type=kind, commit_message="Exported with alpacakit")
    except HfHubHTTPError as exc:
        raise _refused(exc, folder, name, kind) from exc
    except LocalTokenNotFoundError as exc:
        raise _no_token(str(exc)) from exc
    except OfflineModeIsEnabled as exc:
        raise AlpacaError("HF_HUB_OFFLINE is set, so nothing is sent.", hint="Unset it to push.") from exc
    except Exception as exc:  # the connection breaks in as many ways as there are libraries under huggingface_hub
        raise AlpacaError(
            f"The push ended with {type(exc).__name__}: {exc}", hint="Look at the hub for what is there."
        ) from exc
    return str(address)


def _api() -> Any:
    try:
        from huggingface_hub import HfApi, constants
    except ImportError as exc:
        raise MissingError(
            "--push needs the package 'huggingface_hub', which is not installed.",
            hint="Install it with: pip install huggingface_hub",
        ) from exc
    constants.HF_HUB_DISABLE_TELEMETRY = True  # it would ask the hub how to find out who calls it, and tell
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


def _refused(exc: Any, folder: Path, name: str, kind: Kind) -> AlpacaError:
    status = exc.response.status_code if exc.response is not None else 0
    said = str(exc).strip().splitlines()[-1] if str(exc).strip() else ""
    if status in (401, 403):
        return _no_token(said)
    if status == 409:
        return ConfigError(
            f"The {kind} {name} exists on the hub already.",
            hint="Choose another name. A new version of it is uploaded, as a commit, with:"
            f" hf upload {name} FOLDER --repo-type {kind}",
        )
    return AlpacaError(
        f"The hub refused ({status}): {said}", hint="Give the same command again, or look at its status."
    )


def _no_token(said: str) -> MissingError:
    return MissingError(
        f"The hub refused the token, or there is none: {said}",
        hint="Log in with: hf auth login\nor set HF_TOKEN to a token that may write to that name.",
    )

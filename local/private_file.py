"""Files with a secret in them."""

from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file at once that only its owner may read."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)

"""Runs the server with its settings: `python -m app`."""

import os
import sys
import tempfile

import uvicorn

from app.http.protocol import Protocol
from app.settings import Settings, SettingsError, read_settings

# Uvicorn's own lines, and all others, go where nothing waits for their reader.
LOG_CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"log": {"class": "app.operations.log.Handler"}},
    "loggers": {
        "uvicorn": {"handlers": ["log"], "level": "INFO", "propagate": False},
        "python_multipart": {"level": "ERROR"},  # it warns of every broken form
    },
    "root": {"handlers": ["log"], "level": "WARNING"},
}


def main() -> None:
    """Read the settings, then serve until told to stop."""
    try:
        settings = read_settings()
    except SettingsError as error:
        sys.exit(str(error))
    if settings.workers == 1:
        run(settings)
        return
    # The workers add their metrics up in files there, and tell each other of reloads. The
    # variable must be set before prometheus_client is imported.
    try:
        shared = tempfile.TemporaryDirectory(prefix="serve-workers-")
    except OSError as error:
        sys.exit(f"Workers need a folder for temporary files: {error}. Set TMPDIR to another one.")
    with shared as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        run(settings)


def run(settings: Settings) -> None:
    """Serve."""
    uvicorn.run(
        "app.main:app",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=Protocol,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        access_log=False,  # the application writes its own
        log_config=LOG_CONFIG,
        server_header=False,
        proxy_headers=False,  # nothing here depends on who asks
    )


if __name__ == "__main__":
    main()

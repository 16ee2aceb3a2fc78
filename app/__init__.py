"""The prediction service: reads the locked model version from S3 and answers over HTTP.

Rooms, and the one way in which imports run: each line imports only from the lines above it.

    errors                 what callers are told
    settings               the environment's variables, and the limits of one request
    storage                files here and in the clouds, written whole or not at all
    model                  what was deployed: its files, its arithmetic, its packed rows
    formats                bytes to packed rows, and predictions to bytes
    operations             the model in service and its replacement; log, metrics, memory
    http                   routes, and what surrounds each request
    main, __main__         the application, and the server that runs it
    batch                  beside HTTP: files, folders, one event
    stream                 beside HTTP: the requests of a message broker

`model` takes nothing from `settings` when it runs: MLflow stores this package beside a model and
installs few of its requirements.
"""

import os

# Pydantic looks for plugins in all packages that are installed, of which nothing here has any use:
# a tenth of the time that one event takes.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

"""The pipeline's stages, in the order of `dvc.yaml`: prepare, train, evaluate, deploy."""

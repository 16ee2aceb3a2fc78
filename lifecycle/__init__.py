"""What changes Git, S3 and the registry: data, sweeps, promotion, going back."""

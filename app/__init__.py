"""The prediction service: reads the locked model version from S3 and answers over HTTP."""

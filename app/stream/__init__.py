"""Answers a stream of requests: NATS JetStream in, NATS JetStream out."""

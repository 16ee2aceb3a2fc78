"""What Prometheus reads of a worker."""

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("stream_messages_total", "Requests answered.", ["outcome"])
FAILURES = Counter(
    "stream_failures_total", "Batches that the broker did not take; they come again."
)
LAG = Gauge(
    "stream_lag_messages",
    "Requests that are not answered yet; with Kafka those of the partitions this worker has.",
)
SECONDS = Histogram(
    "stream_batch_seconds",
    "From a batch's arrival to its acknowledgement.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)

"""The stream's workers beside a bare loop of the same client, and under faults."""

"""Files scored by `python -m app.batch`, beside the least that must be done and two peers."""

"""What a developer's own machine needs: set-up, services, the sample table, the demo."""

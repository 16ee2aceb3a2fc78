"""HTTP: the routes, and what surrounds each request."""

"""Boards for Grafana and rules for Prometheus, made from the list of metrics."""

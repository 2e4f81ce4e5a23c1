"""Spans, and their way to an OpenTelemetry collector."""

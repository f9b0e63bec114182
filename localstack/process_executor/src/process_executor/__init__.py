"""Run LocalStack's Lambda functions as processes, without Docker."""

__version__ = "0.1.0"

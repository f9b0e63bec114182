"""Run LocalStack's Lambda functions as processes, without Docker."""

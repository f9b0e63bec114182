"""S3 as LocalStack has it, with its files in a folder of this LocalStack alone.

LocalStack's own provider keeps them under one fixed path in ``/tmp``, which every LocalStack of a machine shares and
leaves behind. Chosen with ``PROVIDER_OVERRIDE_S3=ephemeral``.
"""

from localstack.services.plugins import Service, aws_provider


@aws_provider(api="s3", name="ephemeral")  # type: ignore[untyped-decorator]  # LocalStack publishes no types
def s3_ephemeral() -> Service:
    """Make the service that LocalStack loads as ``s3:ephemeral``; its files are in a new folder under ``TMPDIR``."""
    from localstack.services.s3.provider import S3Provider  # noqa: PLC0415 - heavy, and needed only when S3 is
    from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore  # noqa: PLC0415 - as above

    return Service.for_provider(S3Provider(EphemeralS3ObjectStore()))

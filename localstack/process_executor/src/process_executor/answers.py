"""What AWS answers otherwise since 2025, by year: the setting ``PROCESS_EXECUTOR_ANSWERS`` chooses one.

Sources: LocalStack's recordings of AWS, of April 2024 in its archive of 4.0.1, and of November 2025 to February 2026 in
its repository. Of logs: https://github.com/DataBiosphere/azul/issues/5622 and
https://github.com/DataBiosphere/azul/issues/8140.
"""

import resource
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Answers:
    """AWS's of one year.

    Attributes:
        dates_timeouts: whether callers and logs are told of a timeout with its time, and callers without a type.
        core_bytes: the limit of core files.
        own_tmp: whether ``/tmp`` is the function's alone; else it is root's, and open to all.
        init_has_variables: whether process 1 has the variables of the function's process; else it has its own.
        forbidden: what callers of a function URL are told who may not call it.
        forbidden_gone: and those of a URL that is gone.
        names_latest: whether a function that does not exist is called by the version ``$LATEST``.
    """

    dates_timeouts: bool
    core_bytes: int
    own_tmp: bool
    init_has_variables: bool
    forbidden: str
    forbidden_gone: str | None
    names_latest: bool


FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see:"
    " https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
ANSWERS = {
    2024: Answers(
        dates_timeouts=True,
        core_bytes=resource.RLIM_INFINITY,
        own_tmp=True,
        init_has_variables=False,
        forbidden="Forbidden",
        forbidden_gone=None,
        names_latest=False,
    ),
    2026: Answers(
        dates_timeouts=False,
        core_bytes=10 << 30,
        own_tmp=False,
        init_has_variables=True,
        forbidden=FORBIDDEN,
        forbidden_gone=FORBIDDEN,
        names_latest=True,
    ),
}

"""What holds with the isolation that other users than root have, where the kernel lets them: some of the other tests.

Root can have it, too, so these run whoever runs them.
"""

import pytest

# Tests, run once more on the LocalStack of this module.
from test_answers import (  # noqa: F401
    cloud_of_2026,
    test_init_had_variables_of_its_own,
    test_init_has_the_functions_variables,
    test_tmp_was_the_functions,
)
from test_environment import (  # noqa: F401
    test_child_that_outlives_the_handler_goes_with_its_environment,
    test_descriptors_are_the_functions_own,
    test_environment_of_a_deleted_function_is_stopped,
    test_function_has_awss_numbers,
    test_function_is_awss_user,
    test_function_is_unprivileged,
    test_host_is_out_of_sight,
    test_init_is_unprivileged,
    test_limits_are_awss,
    test_only_tmp_can_be_written_to,
    test_python_of_the_path_is_the_runtimes,
    test_streams_can_be_opened_by_their_names,
    test_tmp_is_limited_to_its_configured_size,
    test_tmp_is_private_and_kept_while_warm,
    test_variables_are_in_proc,
)
from test_invocations import (  # noqa: F401
    test_exit_during_an_invocation_is_answered,
    test_handler_error_is_reported_by_the_runtime,
    test_memory_over_the_limit_is_answered,
    test_timeout_is_answered_and_a_new_process_serves_next,
)
from test_logs import test_log_of_a_first_invocation_has_all_lines  # noqa: F401


@pytest.fixture(scope="module")
def cloud(clouds):
    """With user namespaces."""
    cloud = clouds(PROCESS_EXECUTOR_ISOLATION="user-namespaces")
    name = cloud.deploy("def handler(event, context): pass")
    if cloud.configuration(name)["State"] == "Failed":
        pytest.skip("this kernel gives no user namespaces here")
    return cloud


@pytest.fixture(scope="module")
def staged_cloud(cloud):
    """The same: it has AWS's folders."""
    return cloud

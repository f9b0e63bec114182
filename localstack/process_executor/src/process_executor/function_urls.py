"""Function URLs: who may call them, and what LocalStack leaves out of their events and answers.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html and urls-invocation.html beside it.
"""

import base64
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from localstack.http import Response
from localstack.services.lambda_ import urlrouter
from localstack.services.lambda_.invocation.models import lambda_stores
from localstack.utils.patch import patch
from localstack.utils.xray.trace_header import TraceHeader

from process_executor.settings import settings

LOG = logging.getLogger(__name__)

CALLING, INVOKING = "lambda:InvokeFunctionUrl", "lambda:InvokeFunction"
ANYBODY = ("*", {"AWS": "*"})
# What a statement may ask of such a caller.
KNOWN = (
    ("StringEquals", "lambda:FunctionUrlAuthType", "none"),
    ("Bool", "lambda:InvokedViaFunctionUrl", "true"),
)
BOTH = 2  # of the permissions, as a setting
WARNED: set[str] = set()  # of URLs
SIGNED_BY = "AWS4-HMAC-SHA256"
BODY_FOLLOWS = bytes(8)  # in a streamed answer, behind its status and headers
BYTES: dict[str, Any] = {"statusCode": 200, "headers": {"Content-Type": "application/octet-stream"}}


def complete() -> None:
    """Ask for permission; tell functions who calls and by which trace, and callers the cookies they are to keep."""
    called: set[str] = set()  # a URL that is gone answers otherwise than one that never was

    @patch(urlrouter.FunctionUrlRouter.handle_lambda_url_invocation)  # type: ignore[untyped-decorator]
    def _handle(call: Callable[..., Any], self: Any, request: Any, api_id: str, region: str, **path: str) -> Any:
        found = named(api_id, region)
        allowed = cors_headers(found[2].cors or {}, request) if found else {}
        if allowed and is_preflight(request):
            return Response(status=200, headers=allowed)
        if found:
            called.add(api_id)
        refused = not may_call(*found, request) if found else api_id in called
        if refused and settings().url_permissions:
            text = settings().answers.forbidden if found else settings().answers.forbidden_gone
            answer = Response(json.dumps({"Message": text}), status=403, mimetype="application/json")
            answer.headers["x-amzn-ErrorType"] = "AccessDeniedException"
        else:
            answer = call(self, request, api_id, region, **path)
        answer.headers.update(allowed)
        return answer

    @patch(urlrouter.event_for_lambda_url)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _event(call: Callable[..., dict[str, Any]], api_id: str, request: Any) -> dict[str, Any]:
        event = call(api_id, request)
        caller = request.remote_addr or ""
        event["requestContext"]["http"]["sourceIp"] = event["headers"]["x-forwarded-for"] = caller
        event["headers"].setdefault("x-amzn-trace-id", TraceHeader().ensure_root_exists().to_header_str())
        given = [cookie.strip() for line in request.headers.getlist("Cookie") for cookie in line.split(";")]
        return event | ({"cookies": given} if given else {})

    @patch(urlrouter.lambda_result_to_response)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _response(call: Callable[..., Any], result: Any) -> Any:
        return answer_to(collected(result.payload), lambda payload: call(replace(result, payload=payload)))


def cors_headers(cors: Mapping[str, Any], request: Any) -> dict[str, str]:
    """The headers that a URL's CORS configuration gives a page; none for an origin that it does not list.

    Source: AWS Lambda API reference, Cors; Fetch standard, CORS protocol.
    """
    origin = request.headers.get("Origin")
    listed = cors.get("AllowOrigins") or []
    if not origin or not (origin in listed or "*" in listed):
        return {}
    credentials = bool(cors.get("AllowCredentials"))
    headers = {"Access-Control-Allow-Origin": origin if credentials or "*" not in listed else "*", "Vary": "Origin"}
    if credentials:
        headers["Access-Control-Allow-Credentials"] = "true"
    lists = {"Expose-Headers": cors.get("ExposeHeaders")}
    if is_preflight(request):
        lists = {"Allow-Methods": cors.get("AllowMethods"), "Allow-Headers": cors.get("AllowHeaders")}
        headers["Access-Control-Max-Age"] = str(cors.get("MaxAge") or 0)
    return headers | {f"Access-Control-{name}": ",".join(values) for name, values in lists.items() if values}


def is_preflight(request: Any) -> bool:
    """Whether a browser asks before it sends what a page wants to send."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def answer_to(payload: bytes, call: Callable[[bytes], Any]) -> Any:
    """The HTTP answer for what a function returned; LocalStack makes it of objects that have a status."""
    try:
        answer = json.loads(payload)
    except ValueError:  # text, which earlier releases of LocalStack take for a failure
        return call(json.dumps({"statusCode": 200, "body": payload.decode()}).encode())
    if not isinstance(answer, dict):
        return call(payload)
    if "statusCode" not in answer:
        text = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
        return call(json.dumps({"statusCode": 200, "body": text}).encode())
    if not is_status(answer["statusCode"]):
        return Response("Internal Server Error", status=502)
    response = call(payload)
    for cookie in answer.get("cookies") or []:
        response.headers.add("Set-Cookie", str(cookie))
    return response


def named(api_id: str, region: str) -> tuple[Any, str, Any] | None:
    """The function, the qualifier and the configuration of a URL, the last one as for LocalStack; None without any."""
    found = None
    for account in list(lambda_stores):
        for function in list(lambda_stores[account][region].functions.values()):
            for qualifier, configuration in list(function.function_url_configs.items()):
                if configuration.url_id.lower() == api_id.lower():
                    found = function, qualifier, configuration
    return found


def may_call(function: Any, qualifier: str, configuration: Any, request: Any) -> bool:
    """Whether a URL's caller is let in: by the function's own policy, or because it signs, which IAM would look at."""
    if configuration.auth_type == "AWS_IAM":
        return request.headers.get("Authorization", "").startswith(SIGNED_BY) or "X-Amz-Signature" in request.args
    policy = function.permissions.get(qualifier)
    statements = policy.policy.Statement if policy else []
    missing = [action for action in (CALLING, INVOKING) if not any(allows(each, action) for each in statements)]
    if missing == [INVOKING] and settings().url_permissions < BOTH:
        if configuration.url_id not in WARNED:
            WARNED.add(configuration.url_id)
            LOG.warning("%s: AWS asks of new function URLs that they permit %s, too", configuration.url, INVOKING)
        return True
    return not missing


def allows(statement: dict[str, Any], action: str) -> bool:
    """Whether a statement of a resource policy lets unknown callers do something."""
    tests = statement.get("Condition", {}).items()
    conditions = [(test, name, str(value).lower()) for test, each in tests for name, value in each.items()]
    return (
        statement["Effect"] == "Allow"
        and statement["Principal"] in ANYBODY
        and statement["Action"] in (action, "lambda:*", "*")
        and all(condition in KNOWN for condition in conditions)
    )


def collected(payload: bytes) -> bytes:
    """A streamed answer that has a head or is no text in payload format 2.0; others as they are."""
    head, found, body = payload.partition(BODY_FOLLOWS)
    if not found and is_text(payload):
        return payload
    try:
        fields = {"statusCode": 200} | json.loads(head)
    except (ValueError, TypeError):
        fields, body = BYTES, payload
    return json.dumps(fields | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}).encode()


def is_text(payload: bytes) -> bool:
    """Whether it is UTF-8."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_status(value: object) -> bool:
    """Whether it is a status of HTTP, as a number or in digits."""
    return not isinstance(value, bool) and str(value).isdecimal() and 100 <= int(str(value)) < 600

"""Functions in JavaScript: AWS's own client for Node.js, by an interpreter of exactly the runtime's version."""

import json
import re
import tempfile
import threading
import urllib.request
from pathlib import Path

import pytest
from cloud import RUNTIMES, fetch_url, free_port, function_url, permit_url, zipped

RUNTIME = "nodejs22.x"
HANDLER = {"Handler": "index.handler", "MemorySize": 256}
# As recorded on AWS, but for the addresses of X-Ray and LocalStack's own.
VARIABLES = {
    *("AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
    *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE"),
    *("AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS"),
    *("LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "LANG", "LD_LIBRARY_PATH", "NODE_PATH", "PATH", "PWD", "SHLVL"),
    *("TZ", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT", "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ENDPOINT_URL"),
}


@pytest.fixture(autouse=True)
def installed():
    if not (RUNTIMES / RUNTIME).exists():
        pytest.skip(f"no runtime {RUNTIME} in {RUNTIMES}: npm ci in localstack/runtime/{RUNTIME} makes it")


@pytest.fixture
def deploy(cloud):
    """Create a function from the text of ``index.js``, or of several files; its name."""

    def deploy(source, **configuration):
        files = {"index.js": source} if isinstance(source, str) else source
        return cloud.deploy(files, **{"Runtime": RUNTIME} | HANDLER | configuration)

    return deploy


@pytest.fixture
def run(cloud, deploy):
    """Deploy and invoke once."""
    return lambda source, event=None, **configuration: cloud.invoke(deploy(source, **configuration), event)


@pytest.mark.parametrize("version", ["20", "22", "24"])
def test_runtime_is_of_exactly_its_version(run, version):
    """The interpreter, what it was started with, and where the function finds itself."""
    source = """
    const os = require("node:os");
    exports.handler = async (event, context) => {
        console.log("said", event);
        return {
            version: process.version.slice(1, 3), execPath: process.execPath, argv: process.argv, cwd: process.cwd(),
            file: __filename, user: os.userInfo().username, name: process.env.AWS_EXECUTION_ENV,
            left: context.getRemainingTimeInMillis(),
        };
    };
    """
    answer = run(source, {"a": 1}, Runtime=f"nodejs{version}.x")
    found = answer.json
    assert 9000 < found.pop("left") <= 10000
    assert found == {
        "version": version,
        "execPath": "/var/lang/bin/node",
        "argv": ["/var/lang/bin/node", "/var/runtime/index.mjs"],
        "cwd": "/var/task",
        "file": "/var/task/index.js",
        "user": "sbx_user1051",
        "name": f"AWS_Lambda_nodejs{version}.x",
    }
    assert re.search(r"\n\d{4}-\d\d-\d\dT[\d:.]+Z\t[\da-f-]{36}\tINFO\tsaid \{ a: 1 \}\n", answer.log)
    assert f"nodejs:{version}" in answer.log or "INIT_START" not in answer.log


def test_environment_is_as_on_aws(run):
    """Every name, and the values that say where things are."""
    found = run("exports.handler = async () => process.env;").json
    assert set(found) == VARIABLES
    modules = (
        "/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
    )
    assert (found["NODE_PATH"], found["PATH"]) == (modules, "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin")
    assert (found["LAMBDA_TASK_ROOT"], found["LAMBDA_RUNTIME_DIR"], found["PWD"]) == (
        *("/var/task", "/var/runtime"),
        "/var/task",
    )


@pytest.mark.parametrize(
    "files",
    [
        {"index.mjs": "export const handler = async (event, context) => [event, context.functionName];"},
        {"index.js": "exports.handler = (event, context, callback) => callback(null, [event, context.functionName]);"},
        {"index.cjs": "exports.handler = (event, context) => Promise.resolve([event, context.functionName]);"},
        {
            "package.json": '{"type": "module"}',
            "index.js": "import { answer } from './lib/answer.js';\nexport const handler = answer;",
            "lib/answer.js": "export const answer = async (event, context) => [event, context.functionName];",
        },
        {
            "index.js": "exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {\n"
            "  stream.write('['); stream.write(JSON.stringify(event) + ',');\n"
            "  stream.end(JSON.stringify(context.functionName) + ']');\n});",
        },
    ],
    ids=["module", "callback", "promise", "package", "stream"],
)
def test_every_kind_of_handler_answers(cloud, deploy, files):
    """One of AWS's documented ways to write a handler each."""
    name = deploy(files)
    event = {"text": "ä 🥳 \u2028", "number": 1.5}
    assert cloud.invoke(name, event).json == [event, name]
    assert cloud.invoke(name, event).json == [event, name]


STREAMED = "exports.handler = awslambda.streamifyResponse(async (event, stream) => {{ {} stream.end(); }});"
WITH_HEAD = """\
stream = awslambda.HttpResponseStream.from(stream, {statusCode: 201, headers: {"x-mine": "m"}, cookies: ["a=1"]});
"""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("stream.write('Hello, '); stream.write('world!');", (200, None, None, b"Hello, world!")),
        ("stream.write(Buffer.from([255, 0, 254]));", (200, None, None, b"\xff\0\xfe")),
        ("stream.write('{text'); stream.write(Buffer.alloc(9));", (200, None, None, b"{text" + bytes(9))),
        (WITH_HEAD + "stream.write('made');", (201, "m", "a=1", b"made")),
        (WITH_HEAD + "stream.write(Buffer.from([255, 0, 254]));", (201, "m", "a=1", b"\xff\0\xfe")),
    ],
    ids=["text", "bytes", "zeros", "head", "head and bytes"],
)
def test_function_url_answers_with_what_was_streamed(cloud, deploy, source, expected):
    """Whole, once the stream has ended; what stands before the body is its status, headers and cookies."""
    name = deploy(STREAMED.format(source))
    permit_url(cloud, name)
    status, headers, body = fetch_url(cloud, function_url(cloud, name, InvokeMode="RESPONSE_STREAM"))
    assert (status, headers["x-mine"], headers["Set-Cookie"], body) == expected


def test_error_of_a_handler_is_told_with_its_stack(run):
    """The client's own words, with AWS's paths."""
    answer = run("exports.handler = async (event) => { throw new TypeError(event); };", "told")
    found = answer.json
    assert (answer.error, found["errorType"], found["errorMessage"]) == ("Unhandled", "TypeError", "told")
    assert found["trace"][:2] == ["TypeError: told", "    at exports.handler (/var/task/index.js:1:44)"]
    assert '\tERROR\tInvoke Error \t{"errorType":"TypeError","errorMessage":"told"' in answer.log


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ("exports.handler = async () => {", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input"),
        ("exports.other = async () => 1;", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ("require('nothing');", "Runtime.ImportModuleError", "Error: Cannot find module 'nothing'"),
        ("throw new RangeError('at once');", "RangeError", "at once"),
        ("exports.handler = () => { setTimeout(() => { throw new RangeError('late'); }); };", "RangeError", "late"),
        (
            "exports.handler = (event, context, callback) => { Promise.reject(new Error('lost')); };",
            "Runtime.UnhandledPromiseRejection",
            "Error: lost",
        ),
        ("exports.handler = async () => { throw 'a string'; };", "string", "a string"),
    ],
)
def test_errors_have_awss_types(cloud, deploy, source, kind, text):
    """Also those that end the process; the next invocation fares no worse."""
    name = deploy(source, Timeout=5)
    for _ in range(2):
        answer = cloud.invoke(name)
        assert answer.error == "Unhandled"
        assert (answer.json["errorType"], answer.json["errorMessage"].splitlines()[0]) == (kind, text)


def test_error_of_megabytes_is_told(cloud, deploy):
    """Its cause does not fit into X-Ray's header, the answer does."""
    name = deploy("exports.handler = async () => { throw new Error('x'.repeat(3_000_000)); };", Timeout=20)
    assert len(cloud.invoke(name).json["errorMessage"]) == 3_000_000


def test_absent_handler_file_is_an_import_error(run):
    """As with any module that is not there."""
    answer = run({"other.js": ""})
    assert answer.json["errorType"] == "Runtime.ImportModuleError"
    assert answer.json["errorMessage"].startswith("Error: Cannot find module 'index'")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("process.exit(3)", "Runtime exited with error: exit status 3"),
        ("process.exit(0)", "Runtime exited without providing a reason"),
        ("process.kill(process.pid, 'SIGSEGV')", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_process_that_ends_is_told_and_replaced(cloud, deploy, source, text):
    """In the middle of an invocation."""
    name = deploy(f"exports.handler = async (event) => {{ if (event.end) {source}; return 'well'; }};")
    answer = cloud.invoke(name, {"end": True})
    assert re.fullmatch(r"RequestId: [\da-f-]{36} Error: (.*)", answer.json["errorMessage"])[1].startswith(text)
    assert cloud.invoke(name).json == "well"


def test_exhausted_memory_ends_the_environment(cloud, deploy):
    """V8 gives up at nine tenths of the memory size, or the platform at the whole."""
    source = """
    const kept = [];
    exports.handler = async (event) => {
        while (event.fill) kept.push(new Array(100000).fill(kept.length + 0.5));
        return 'well';
    };
    """
    name = deploy(source, Timeout=30, MemorySize=128)
    answer = cloud.invoke(name, {"fill": True})
    assert answer.error == "Unhandled"
    assert re.search(r"signal: (aborted|killed)", answer.json["errorMessage"])
    assert cloud.invoke(name).json == "well"


def test_timeout_is_told_and_the_next_invocation_served(cloud, deploy):
    """With a loop that no timer of its own could end."""
    name = deploy("exports.handler = async (event) => { while (event.loop); return 'well'; };", Timeout=1)
    answer = cloud.invoke(name, {"loop": True})
    assert answer.json["errorMessage"].endswith(" Task timed out after 1.00 seconds")
    assert cloud.invoke(name).json == "well"


def test_state_stays_and_timers_stand_still_between_invocations(cloud, deploy):
    """A frozen environment's clock goes on, its timers do not run; callbackWaitsForEmptyEventLoop is heeded."""
    source = """
    let count = 0, ticks = 0;
    exports.handler = (event, context, callback) => {
        context.callbackWaitsForEmptyEventLoop = false;
        if (!count) setInterval(() => { ticks += 1; }, 10);
        count += 1;
        callback(null, [count, ticks]);
    };
    """
    name = deploy(source)
    assert cloud.invoke(name).json == [1, 0]
    threading.Event().wait(1)
    count, ticks = cloud.invoke(name).json
    assert count == 2
    assert ticks < 20  # of a hundred


def test_answer_waits_for_what_a_callback_left_running(run):
    """By default the event loop must be empty first."""
    source = """
    exports.handler = (event, context, callback) => {
        setTimeout(() => console.log("ran"), 100);
        callback(null, "told");
    };
    """
    answer = run(source)
    assert answer.json == "told"
    assert "\tINFO\tran\n" in answer.log


def test_large_payloads_pass_whole(cloud, deploy):
    """Near AWS's limit of six megabytes both ways, and over it."""
    name = deploy("exports.handler = async (event) => event.wanted ? 'y'.repeat(event.wanted) : event;", Timeout=30)
    event = {"text": "ä" * 500_000 + "x" * 3_000_000}  # boto3 escapes the former
    assert cloud.invoke(name, event).json == event
    answer = cloud.invoke(name, {"wanted": 7_000_000})
    assert answer.json["errorType"] == "Function.ResponseSizeTooLarge"
    assert cloud.invoke(name, {"a": 1}).json == {"a": 1}


def test_log_levels_and_json_are_the_clients(cloud, deploy):
    """The console's methods by their levels; as objects where the function is configured so."""
    source = """
    exports.handler = async () => {
        console.debug("one"); console.info("two\\nlines"); console.warn("three"); console.error(new Error("four"));
        process.stdout.write("raw\\n");
    };
    """
    log = cloud.invoke(deploy(source)).log
    assert re.findall(r"\t(DEBUG|INFO|WARN|ERROR)\t(\w+)", log) == [
        ("DEBUG", "one"),
        ("INFO", "two"),
        ("WARN", "three"),
        ("ERROR", "Error"),
    ]
    assert "\nraw\n" in log
    name = deploy(source, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"})
    lines = [json.loads(line) for line in cloud.invoke(name).log.splitlines() if line.startswith("{")]
    said = [(line["level"], line["message"]) for line in lines if "level" in line]
    assert said == [("WARN", "three"), ("ERROR", said[1][1])]


def test_files_are_where_aws_has_them(cloud, deploy):
    """By AWS's names, by the module's own, and by relative ones; /tmp is the environment's own, and stays."""
    source = """
    const fs = require("node:fs"), os = require("node:os"), path = require("node:path");
    const { readdir } = require("node:fs/promises");
    exports.handler = async (event) => {
        const file = path.join(os.tmpdir(), "kept");
        const before = fs.existsSync("/tmp/kept") && fs.readFileSync(file, "utf8");
        fs.writeFileSync("/tmp/kept", event);
        fs.renameSync("/tmp/kept", "/tmp/moved");
        fs.copyFileSync("/tmp/moved", "/tmp/kept");
        return {
            before, tmp: os.tmpdir(), task: await readdir("/var/task"), opt: await readdir("/opt"),
            text: [fs.readFileSync("/var/task/data.txt", "utf8"), fs.readFileSync("data.txt", "utf8"),
                   fs.readFileSync(path.join(__dirname, "data.txt"), "utf8"),
                   fs.readFileSync(new URL("file:///var/task/data.txt"), "utf8")],
            again: require("/var/task/other.js"),
        };
    };
    """
    files = {"index.js": source, "data.txt": "data", "other.js": "module.exports = 'other';"}
    name, other = deploy(files), deploy(files)
    first = cloud.invoke(name, "first").json
    assert first == {
        "before": False,
        "tmp": "/tmp",
        "task": ["data.txt", "index.js", "other.js"],
        "opt": [],
        "text": ["data"] * 4,
        "again": "other",
    }
    assert cloud.invoke(name, "second").json["before"] == "first"
    assert cloud.invoke(other, "second").json["before"] is False


def test_code_cannot_be_written_to(run):
    """By whatever name."""
    source = """
    const fs = require("node:fs");
    exports.handler = async () => ["/var/task/x", "x", "/opt/x", "/var/runtime/node_modules/x"].map((name) => {
        try { fs.writeFileSync(name, "x"); return "written"; } catch (error) { return error.code; }
    });
    """
    assert run(source).json == ["EROFS"] * 4


def test_files_are_opened_as_programs_do(run):
    """Without flags, by handles, in folders that are there, and in another working directory."""
    source = """
    const fs = require("node:fs"), { promisify } = require("node:util");
    const { execFileSync } = require("node:child_process");
    exports.handler = async () => {
        const number = await promisify(fs.open)("/var/task/index.js");
        const handle = await fs.promises.open("/tmp/x", "w+");
        await fs.promises.writeFile(handle, "by handle");
        await handle.close();
        fs.mkdirSync("/var/task", { recursive: true });
        fs.rmSync("/var/task/none", { force: true });
        const said = execFileSync("cat", ["/tmp/x"]).toString();
        process.chdir("/tmp");
        fs.writeFileSync("y", "there");
        return [number > 2, said, fs.readFileSync("/tmp/y", "utf8"), process.cwd()];
    };
    """
    assert run(source).json == [True, "by handle", "there", "/tmp"]


def test_modules_come_from_layers(cloud, deploy):
    """From nodejs/node_modules, and from the version's own folder before it."""
    files = {
        "nodejs/node_modules/told/index.js": "module.exports = 'any version';",
        "nodejs/node_modules/both/index.js": "module.exports = 'any version';",
        "nodejs/node22/node_modules/both/index.js": "module.exports = 'this version';",
    }
    arn = cloud.awslambda.publish_layer_version(LayerName="modules", Content={"ZipFile": zipped(files)})[
        "LayerVersionArn"
    ]
    source = "exports.handler = async () => [require('told'), require('both'), require.resolve('told')];"
    assert cloud.invoke(deploy(source, Layers=[arn])).json == [
        *("any version", "this version"),
        "/opt/nodejs/node_modules/told/index.js",
    ]


@pytest.mark.parametrize("version", ["20", "22", "24"])
def test_modules_are_imported_from_layers_and_the_runtime(cloud, deploy, version):
    """ES modules, too, are looked for in NODE_PATH; the SDK finds LocalStack by itself."""
    files = {"nodejs/node_modules/told/package.json": '{"type": "module", "exports": "./told.js"}'}
    files["nodejs/node_modules/told/told.js"] = "export const word = 'from the layer';"
    published = cloud.awslambda.publish_layer_version(LayerName="esm", Content={"ZipFile": zipped(files)})
    source = """
    import { LambdaClient, GetFunctionCommand } from "@aws-sdk/client-lambda";
    import { word } from "told";
    export const handler = async (event, context) => {
        const asked = new GetFunctionCommand({ FunctionName: context.functionName });
        return [word, (await new LambdaClient().send(asked)).Configuration.Runtime];
    };
    """
    runtime = f"nodejs{version}.x"
    name = deploy({"index.mjs": source}, Runtime=runtime, Layers=[published["LayerVersionArn"]])
    assert cloud.invoke(name).json == ["from the layer", runtime]
    lost = deploy({"index.mjs": "import 'nowhere';\nexport const handler = async () => 1;"}, Runtime=runtime)
    assert "Cannot find package 'nowhere' imported from /var/task/index.mjs" in cloud.invoke(lost).json["errorMessage"]


def test_programs_are_started_from_functions(run):
    """In the folder that is meant, with the function's variables, and their temporary files apart from others'."""
    source = """
    const { execFileSync, execSync } = require("node:child_process");
    const { promisify } = require("node:util");
    const exec = promisify(require("node:child_process").exec);
    exports.handler = async () => [
        execSync("node -p process.version").toString().trim() === process.version,
        execFileSync("/bin/sh", ["-c", "echo $AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]).toString().trim(),
        execSync("echo text > y && cat y", { cwd: "/tmp", encoding: "utf8" }).trim(),
        require("node:fs").existsSync("/tmp/y"),
        (await exec("echo text > x && cat x", { cwd: "/tmp" })).stdout.trim(),
        require("node:fs").readFileSync("/tmp/x", "utf8").trim(),
        (await exec("pwd")).stdout.trim(),
    ];
    """
    assert run(source).json == [True, "256", "text", True, "text", "text", "/var/task"]


def test_wrapper_starts_nodejs(run):
    """AWS_LAMBDA_EXEC_WRAPPER gets the runtime's command as its arguments."""
    wrapper = '#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n'
    files = {"index.js": "exports.handler = async () => process.env.WRAPPED;", "wrapper": wrapper}
    assert run(files, Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}}).json == "yes"


def test_wrapper_that_closes_descriptors_is_told_so(run):
    """The connection to the Runtime API is one of them."""
    wrapper = '#!/bin/bash\nexec "$@" 15>&-\n'
    files = {"index.js": "exports.handler = async () => 1;", "wrapper": wrapper}
    answer = run(files, Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}})
    assert "exit status 1" in answer.json["errorMessage"]
    assert "Descriptor 15, the way to the Runtime API, is closed: a wrapper must leave it open." in answer.log


def test_localstack_is_reached(cloud, run):
    """At the address that the SDKs take from the environment."""
    source = """
    exports.handler = async () => {
        const answer = await fetch(process.env.AWS_ENDPOINT_URL + "/_localstack/health");
        return [answer.status, (await answer.json()).services.lambda];
    };
    """
    assert run(source).json == [200, "running"]


def test_hot_reloaded_function_runs_what_is_saved(cloud):
    """At the next invocation."""
    with tempfile.TemporaryDirectory(prefix="hot-") as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "index.js"
        file.write_text("exports.handler = async () => 'before';")
        name = cloud.create({"S3Bucket": "hot-reload", "S3Key": folder}, Runtime=RUNTIME, **HANDLER)
        assert cloud.invoke(name).json == "before"
        file.write_text("exports.handler = async () => 'and after';")
        assert cloud.invoke(name).json == "and after"
        cloud.awslambda.delete_function(FunctionName=name)


def test_inspector_listens_where_the_log_says(clouds):
    """At the configured port, for debuggers to attach to."""
    cloud = clouds(PROCESS_EXECUTOR_DEBUG_PORT=str(free_port()))
    name = cloud.deploy({"index.js": "exports.handler = async () => 1;"}, Runtime=RUNTIME, **HANDLER)
    assert cloud.invoke(name).json == 1
    port = re.search(r"Debugger listening on ws://127\.0\.0\.1:(\d+)/", "".join(cloud.events(name, bool)))[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/version") as told:
        assert json.load(told)["Browser"].startswith("node.js/v22")


def test_runtime_that_is_not_installed_says_what_installs_it(cloud):
    """When the function is created."""
    name = cloud.deploy({"index.js": ""}, Runtime="nodejs18.x", **HANDLER)
    reason = cloud.configuration(name)["StateReason"]
    assert "npm install --prefix" in reason
    assert "aws-lambda-ric@3 node-linux-" in reason
    assert "@18" in reason

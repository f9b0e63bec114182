"""AWS's folders by their names in JavaScript: from the kernel with a mount namespace, and without one the same."""

import json
import textwrap
import uuid

import pytest
from cloud import RUNTIMES, zipped

RUN = """
const fs = require("node:fs"), fsp = require("node:fs/promises"), path = require("node:path"), os = require("node:os");
const childProcess = require("node:child_process"), { promisify } = require("node:util");
const { Worker } = require("node:worker_threads"), { createRequire } = require("node:module");
const stream = require("node:stream/promises"), net = require("node:net");
const told = (thread) => new Promise((tell, fail) => thread.on("message", tell).on("error", fail));
exports.handler = async ({ here, program }) => {
    fs.mkdirSync(here, { recursive: true });
    try {
        return await eval(`(async () => { ${program} })()`);
    } catch (error) {
        return [error.code ?? error.name, error.message];
    }
};
"""
FILES = {
    "index.js": RUN,
    "data/words.txt": "in the zip",
    "data/more/words.txt": "more",
    "data/module.mjs": "export default 'imported';",
    "data/module.cjs": "module.exports = 'required';",
    "other/above.cjs": "module.exports = require('../runtime/module.cjs');",
    "runtime/module.cjs": "module.exports = 'of the function';",
    "other/hook.mjs": "export const resolve = (name, where, next) => next(name === 'hooked' ? 'path' : name, where);",
    "thread.js": """
        const fs = require("node:fs"), { parentPort, workerData, threadId } = require("node:worker_threads");
        fs.writeFileSync(`${workerData}/from-thread`, "by a thread");
        parentPort.postMessage([fs.readFileSync("/opt/words.txt", "utf8"), process.execArgv.length]);
    """,
    "program.js": """
        const fs = require("node:fs");
        const said = [fs.readFileSync("/opt/words.txt", "utf8"), process.env.NODE_OPTIONS ?? "none", process.cwd()];
        if (process.send) process.send(said); else console.log(JSON.stringify(said));
    """,
}
NODES = [name for name in ("nodejs20.x", "nodejs22.x", "nodejs24.x") if (RUNTIMES / name).exists()]


@pytest.fixture(autouse=True)
def installed():
    if not NODES:
        pytest.skip(f"no runtime for JavaScript in {RUNTIMES}: npm ci in localstack/runtime/nodejs22.x makes one")


@pytest.fixture(scope="module")
def layer(cloud):
    files = {
        "words.txt": "in the layer",
        "before.js": "globalThis.before = require('node:fs').readFileSync('/opt/words.txt', 'utf8');",
        "before.mjs": "import fs from 'node:fs'; globalThis.before = fs.readFileSync('/opt/words.txt', 'utf8');",
        "wrapper": '#!/bin/sh\nexport NODE_OPTIONS="$NODE_OPTIONS --require /opt/before.js"\nexec "$@"\n',
    }
    content = {"ZipFile": zipped(files)}
    return cloud.awslambda.publish_layer_version(LayerName="places", Content=content)["LayerVersionArn"]


@pytest.fixture(scope="module")
def run(cloud, layer):
    """Runs a program in functions of each version of Node.js, with a layer; ``here`` is a folder below /tmp."""
    common = {"Layers": [layer], "Handler": "index.handler", "Timeout": 30, "MemorySize": 512}
    names = {version: cloud.deploy(FILES, Runtime=version, **common) for version in NODES}

    def run(program, here):
        event = {"program": textwrap.dedent(program), "here": here}
        answers = {version: cloud.invoke(name, event).json for version, name in names.items()}
        assert all(answer == answers[NODES[0]] for answer in answers.values()), answers
        return answers[NODES[0]]

    return run


@pytest.fixture
def here():
    return f"/tmp/{uuid.uuid4().hex}"  # the function's, not this machine's


READ = [
    ("fs.readFileSync('/var/task/data/words.txt', 'utf8')", "in the zip"),
    ("fs.readFileSync('//var/task/../task/data/words.txt', 'utf8')", "in the zip"),
    ("fs.readFileSync('../task/data/words.txt', 'utf8')", "in the zip"),
    ("fs.readFileSync(new Uint8Array(Buffer.from('/opt/words.txt'))).toString()", "in the layer"),
    ("fs.readFileSync(new URL('file:///opt/words.txt'), 'utf8')", "in the layer"),
    ("await fsp.readFile('/opt/words.txt', 'utf8')", "in the layer"),
    ("(await promisify(fs.readFile)('/opt/words.txt')).toString()", "in the layer"),
    (
        "[fs.readdirSync('/opt').length, fs.readdirSync('/var/task/data')]",
        [4, ["module.cjs", "module.mjs", "more", "words.txt"]],
    ),
    (
        "fs.readdirSync('/var/task/data/more', { withFileTypes: true }).map((each) => each.parentPath)",
        ["/var/task/data/more"],
    ),
    ("fs.readdirSync('/var/runtime').includes('node_modules')", True),
    ("[fs.existsSync('/opt'), fs.existsSync('/opt/none'), fs.statSync('/opt/words.txt').size]", [True, False, 12]),
    ("[fs.realpathSync('/opt/../opt'), await promisify(fs.realpath)('/tmp')]", ["/opt", "/tmp"]),
    ("fs.createReadStream('/opt/words.txt').path", "/opt/words.txt"),
    (
        "[(await import('/var/task/data/module.mjs')).default, require('/var/task/data/module.cjs')]",
        ["imported", "required"],
    ),
    ("(await import('file:///var/task/data/module.mjs?again')).default", "imported"),
    ("createRequire('/var/task/data/any.js')('./module.cjs')", "required"),
    ("require('/var/task/other/above.cjs')", "of the function"),
    ("createRequire('/var/task/index.js')('module').register('file:///var/task/other/hook.mjs')", None),
    ("(await import('hooked')).default.sep", "/"),
    ("fs.readFileSync('/var/task/' + path.relative('/var/task', module.filename)).length > 0", True),
    ("require('module')._findPath('/var/task/index.js', null)", "/var/task/index.js"),
    ("require.resolve('./module.cjs', { paths: ['/var/task/data'] })", "/var/task/data/module.cjs"),
    ("[os.homedir(), os.userInfo().username, os.tmpdir()]", ["/home/sbx_user1051", "sbx_user1051", "/tmp"]),
]


@pytest.mark.parametrize(("expression", "expected"), READ)
def test_what_came_with_the_function_is_read_by_awss_names(run, here, expression, expected):
    """Files of the zip at /var/task, those of layers at /opt; modules, too."""
    assert run(f"return {expression};", here) == expected


WRITTEN = [
    ("fs.writeFileSync(`${here}/a`, 'b')", "fs.readFileSync(`${here}/a`, 'utf8')", "b"),
    ("await fsp.appendFile(`${here}/a`, 'b')", "fs.readFileSync(`${here}/a`, 'utf8')", "b"),
    (
        "const made = fs.mkdtempSync(`${here}/m-`)",
        "[path.dirname(made) === here, fs.statSync(made).isDirectory()]",
        [True] * 2,
    ),
    ("const made = fs.mkdirSync(`${here}/x/y`, { recursive: true })", "made === `${here}/x`", True),
    ("fs.cpSync('/var/task/data', `${here}/copy`, { recursive: true })", "fs.readdirSync(`${here}/copy`).length", 4),
    ("fs.mkdirSync(`${here}/x`); await fsp.rm(`${here}/x`, { recursive: true })", "fs.readdirSync(here)", []),
    ("fs.writeFileSync(`${here}/a`, ''); fs.renameSync(`${here}/a`, `${here}/b`)", "fs.readdirSync(here)", ["b"]),
    (
        "fs.symlinkSync('/opt/words.txt', `${here}/l`)",
        "[fs.readFileSync(`${here}/l`, 'utf8'), fs.readlinkSync(`${here}/l`)]",
        ["in the layer", "/opt/words.txt"],
    ),
    (
        "await stream.pipeline(fs.createReadStream('/opt/words.txt'), fs.createWriteStream(`${here}/s`))",
        "fs.readFileSync(`${here}/s`, 'utf8')",
        "in the layer",
    ),
    (
        "const handle = await fsp.open(`${here}/h`, 'w'); await handle.writeFile('b'); await handle.close()",
        "fs.readFileSync(`${here}/h`, 'utf8')",
        "b",
    ),
    (
        "process.chdir(here); fs.writeFileSync('c', ''); const there = process.cwd(); process.chdir('/var/task')",
        "[path.basename(there) === path.basename(here), fs.existsSync(`${here}/c`)]",
        [True, True],
    ),
    ("require('node:v8').writeHeapSnapshot(`${here}/v`)", "fs.readdirSync(here)", ["v"]),
    ("fs.mkdirSync('/var/task/data', { recursive: true })", "fs.readdirSync(here)", []),
    ("fs.rmSync('/var/task/none', { force: true })", "fs.readdirSync(here)", []),
]


@pytest.mark.parametrize(("statements", "expression", "expected"), WRITTEN)
def test_tmp_can_be_written_to_by_its_name(run, here, statements, expression, expected):
    """Every way to make, move and remove files works on /tmp."""
    assert run(f"{statements}; return {expression};", here) == expected


MISSING, READ_ONLY = "ENOENT: no such file or directory", "EROFS: read-only file system"
THERE, OTHER_DEVICE = "EEXIST: file already exists", "EXDEV: cross-device link not permitted"
REFUSED = [
    ("fs.writeFileSync('/var/task/new', '')", f"{READ_ONLY}, open '/var/task/new'"),
    ("fs.writeFileSync('new', '')", f"{READ_ONLY}, open 'new'"),
    ("await fsp.writeFile('/opt/new', '')", f"{READ_ONLY}, open '/opt/new'"),
    ("await promisify(fs.appendFile)('/var/runtime/new', '')", f"{READ_ONLY}, open '/var/runtime/new'"),
    ("await stream.pipeline(['a'], fs.createWriteStream('/opt/new'))", f"{READ_ONLY}, open '/opt/new'"),
    (
        "fs.symlinkSync('/opt/new', `${here}/l`); fs.writeFileSync('/opt/none/new', '')",
        f"{MISSING}, open '/opt/none/new'",
    ),
    ("fs.openSync('/var/task/index.js', 'wx')", f"{THERE}, open '/var/task/index.js'"),
    ("fs.readFileSync('/tmp/none')", f"{MISSING}, open '/tmp/none'"),
    ("await fsp.stat('/opt/none')", f"{MISSING}, stat '/opt/none'"),
    ("fs.mkdirSync('/var/task/new')", f"{READ_ONLY}, mkdir '/var/task/new'"),
    ("fs.mkdirSync('/var/task/new', { recursive: true })", f"{MISSING}, mkdir '/var/task/new'"),
    ("fs.mkdirSync('/var/task/data')", f"{THERE}, mkdir '/var/task/data'"),
    ("fs.mkdtempSync('/var/task/m-')", f"{READ_ONLY}, mkdtemp '/var/task/m-XXXXXX'"),
    ("fs.unlinkSync('/var/task/index.js')", f"{READ_ONLY}, unlink '/var/task/index.js'"),
    ("fs.unlinkSync('/var/task/none')", f"{READ_ONLY}, unlink '/var/task/none'"),
    ("fs.copyFileSync('/opt/words.txt', '/opt/new')", f"{READ_ONLY}, copyfile '/opt/words.txt' -> '/opt/new'"),
    ("fs.renameSync('/opt/words.txt', '/opt/new')", f"{READ_ONLY}, rename '/opt/words.txt' -> '/opt/new'"),
    ("fs.renameSync('/opt/words.txt', '/tmp/new')", f"{OTHER_DEVICE}, rename '/opt/words.txt' -> '/tmp/new'"),
    ("fs.linkSync('/opt/words.txt', '/tmp/new')", f"{OTHER_DEVICE}, link '/opt/words.txt' -> '/tmp/new'"),
    ("fs.symlinkSync('anything', '/opt/new')", f"{READ_ONLY}, symlink 'anything' -> '/opt/new'"),
    ("fs.utimesSync('/opt/none', 1, 1)", f"{MISSING}, utime '/opt/none'"),
    ("fs.chmodSync('/opt/words.txt', 0o777)", f"{READ_ONLY}, chmod '/opt/words.txt'"),
]


@pytest.mark.parametrize(("statement", "text"), REFUSED)
def test_nothing_else_can_be_written_to(run, here, statement, text):
    """In the kernel's order (what is missing or there already, another device, read-only) and Node's words."""
    assert run(f"{statement}; return 'done';", here) == [text.partition(":")[0], text]


FULL = "ENOSPC: no space left on device"
FILLED = [
    ("fs.writeFileSync('/tmp/a', eight)", "write"),
    ("fs.writeFileSync('/tmp/a', 'x'.repeat(8 * MB))", "write"),
    ("await promisify(fs.writeFile)('/tmp/a', eight)", "write"),
    ("await fsp.writeFile('/tmp/a', eight)", "write"),
    ("for (let i = 0; i < 8; i++) fs.writeFileSync(`/tmp/${i}`, one)", "write"),
    ("for (let i = 0; i < 8; i++) await fsp.writeFile(`/tmp/${i}`, one)", "write"),
    ("for (let i = 0; i < 8; i++) fs.appendFileSync('/tmp/a', one)", "write"),
    ("opened = fs.openSync('/tmp/a', 'w'); for (let i = 0; i < 8; i++) fs.writeSync(opened, one)", "write"),
    ("opened = await fsp.open('/tmp/a', 'w'); for (let i = 0; i < 8; i++) await opened.write(one)", "write"),
    ("await stream.pipeline(Array(8).fill(one), fs.createWriteStream('/tmp/a'))", "write"),
    (
        "await stream.pipeline(Array(8).fill(one), (await fsp.open('/tmp/a', 'w')).createWriteStream())",
        "write",
    ),
    (
        "fs.writeFileSync('/tmp/a', eight.subarray(0, 3 * MB)); await fsp.copyFile('/tmp/a', '/tmp/b')",
        "copyfile '/tmp/a' -> '/tmp/b'",
    ),
]


@pytest.mark.parametrize(("statements", "call"), FILLED)
def test_tmp_has_a_size(run, statements, call):
    """One for all files together, however they are written; how much of it is free is known."""
    program = f"""
    const MB = 1 << 20, one = Buffer.alloc(MB), eight = Buffer.alloc(8 * MB);
    const clear = () => fs.readdirSync("/tmp").forEach((name) => fs.rmSync(`/tmp/${{name}}`, {{ recursive: true }}));
    const free = ({{ bavail, bsize }}) => (bavail * bsize) / MB;
    let opened;
    clear();
    for (let i = 0; i < 508; i++) fs.appendFileSync("/tmp/much", one);
    const told = [fs.statfsSync("/tmp"), await fsp.statfs("/tmp"), await promisify(fs.statfs)("/tmp")];
    const found = told.map(free);
    try {{
        {statements};
    }} catch (error) {{
        found.push(error.errno, error.code, error.message, error.syscall);
    }}
    if (typeof opened === "number") fs.closeSync(opened);
    await opened?.close?.();
    clear();
    return found;
    """
    assert run(program, "/tmp") == [4, 4, 4, -28, "ENOSPC", f"{FULL}, {call}", call.split()[0]]


STARTED = [
    ("childProcess.execSync('cat /opt/words.txt').toString()", "in the layer"),
    ("childProcess.execFileSync('cat', ['/opt/words.txt']).toString()", "in the layer"),
    ("(await promisify(childProcess.exec)('cat words.txt; pwd', { cwd: '/opt' })).stdout", "in the layer/opt\n"),
    ("childProcess.execSync('cat $WORDS', { env: { WORDS: '/opt/words.txt' } }).toString()", "in the layer"),
    ("childProcess.execSync('touch ${TMPDIR:-/tmp}/mark; echo a > /tmp/b') && fs.existsSync('/tmp/mark')", True),
    ("JSON.parse(childProcess.execSync('node program.js'))", ["in the layer", "none", "/var/task"]),
    ("await told(childProcess.fork('/var/task/program.js'))", ["in the layer", "none", "/var/task"]),
    ("await told(childProcess.fork('./program.js', { env: {} }))", ["in the layer", "none", "/var/task"]),
    ("(await told(new Worker('/var/task/thread.js', { workerData: here })))[0]", "in the layer"),
    ("await told(new Worker('./thread.js', { workerData: here, env: {}, execArgv: [] }))", ["in the layer", 0]),
    (
        "await told(new Worker(new URL('file:///var/task/thread.js'), { workerData: here })) && fs.readdirSync(here)",
        ["from-thread"],
    ),
    ("[childProcess.execSync.name, childProcess.execSync.length, fs.writeFile.length]", ["execSync", 2, 4]),
]


@pytest.mark.parametrize(("expression", "expected"), STARTED)
def test_threads_and_programs_have_the_same_folders(run, here, expression, expected):
    """As file names, within commands and in variables; other programs in Node.js as the function itself."""
    assert run(f"return {expression};", here) == expected


def test_sockets_are_the_environments_own(run):
    """By a name that is the same in every environment."""
    program = """
    const server = net.createServer((socket) => socket.end("answered")).listen("/tmp/s.sock");
    await new Promise((done) => server.once("listening", done));
    const said = new Promise((tell) => net.connect("/tmp/s.sock").on("data", (data) => tell(data.toString())));
    const found = [await said, fs.existsSync("/tmp/s.sock")];
    server.close();
    return found;
    """
    assert run(program, "/tmp/s") == ["answered", True]


@pytest.mark.parametrize(
    "variables",
    [
        {"NODE_OPTIONS": "--require /opt/before.js"},
        {"NODE_OPTIONS": "--import /opt/before.mjs"},
        {"NODE_OPTIONS": "--import file:///opt/before.mjs"},
        {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"},
    ],
)
@pytest.mark.parametrize("runtime", NODES)
def test_modules_of_layers_are_loaded_first(cloud, layer, runtime, variables):
    """As tracing layers ask for; the function sees the options that it was given."""
    source = "exports.handler = async () => [globalThis.before, process.env.NODE_OPTIONS ?? null];"
    configuration = {"Handler": "index.handler", "Layers": [layer], "Environment": {"Variables": variables}}
    answer = cloud.invoke(cloud.deploy({"index.js": source}, Runtime=runtime, MemorySize=256, **configuration)).json
    assert answer == ["in the layer", variables.get("NODE_OPTIONS", answer[1])]


@pytest.mark.parametrize("runtime", NODES)
def test_packages_of_the_machine_are_none_of_the_functions(cloud, runtime):
    """Neither what is installed in a folder above the function's, nor the kind of modules that is named there."""
    (cloud.folder / "package.json").write_text(json.dumps({"type": "module"}))
    package = cloud.folder / "node_modules/leaked"
    package.mkdir(parents=True, exist_ok=True)
    (package / "index.js").write_text("module.exports = 1;")
    source = """
    const asked = [() => require("leaked"), () => import("leaked")];
    exports.handler = async () => Promise.all(asked.map(async (ask) => {
        try { return await ask(); } catch (error) { return error.code; }
    }));
    """
    name = cloud.deploy({"index.js": source}, Runtime=runtime, Handler="index.handler", MemorySize=256)
    assert cloud.invoke(name).json == ["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"]


@pytest.mark.parametrize("runtime", [name for name in NODES if name != "nodejs20.x"])
def test_databases_are_found_by_their_names(cloud, runtime):
    """node:sqlite opens files in C++."""
    source = """
    const { DatabaseSync } = require("node:sqlite");
    exports.handler = async () => {
        new DatabaseSync("/tmp/a.db").exec("create table words (word)");
        return require("node:fs").existsSync("/tmp/a.db");
    };
    """
    name = cloud.deploy({"index.js": source}, Runtime=runtime, Handler="index.handler", MemorySize=256)
    assert cloud.invoke(name).json is True


@pytest.mark.parametrize("way", ["fs.readFileSync('/var/task/none')", "fs.writeFileSync('/var/task/none', '')"])
def test_stack_has_the_functions_frames_only(cloud, way):
    """What stands between a function and the file system is not in it."""
    source = f"const fs = require('node:fs');\nexports.handler = async () => {way};"
    name = cloud.deploy({"index.js": source}, Runtime=NODES[-1], Handler="index.handler", MemorySize=256)
    answer = cloud.invoke(name)
    frames = [line for line in answer.json["trace"] if "node:fs" not in line]
    assert frames[1].startswith("    at exports.handler (/var/task/index.js:2:")
    assert "places" not in answer.log

/**
 * What Node.js runs first: AWS's runtime client, `aws-lambda-ric`, without the part of it that must be compiled.
 *
 * That part speaks to the Runtime API by curl. Here `next`, `done` and `error` speak HTTP/1.1 on a connection that was
 * made before Node.js was started, because JavaScript cannot make one and wait for it. They wait as the compiled ones
 * do: `next` in a thread of Node's pool, `done` and `error` in the function's own, so that an answer is on its way
 * before anything else of the function runs.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and the client's own rapid-client.cc.
 */
import childProcess from "node:child_process";
import fs from "node:fs";
import Module, { syncBuiltinESMExports } from "node:module";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

/**
 * The client's folder, the connection's descriptor, and where there is no mount namespace the real folder for each of
 * AWS's, and the name that the user has on AWS.
 * @type {{client: string, connection: number, places: Record<string, string>, user: string}}
 */
const { client, connection, places, user } = JSON.parse(process.argv.splice(2)[0]);
const INVOCATION = "/2018-06-01/runtime/invocation/";
const HEAD_SIZE = 16 << 10;
const CAUSE_LIMIT = 1 << 20; // of a header
const NUMBERS = new Set(["lambda-runtime-deadline-ms"]);
const TOLD = [
  ...NUMBERS,
  "lambda-runtime-aws-request-id",
  "lambda-runtime-trace-id",
  "lambda-runtime-invoked-function-arn",
  "lambda-runtime-client-context",
  "lambda-runtime-cognito-identity",
  "lambda-runtime-aws-tenant-id",
];
const { existsSync, readSync, writeSync } = fs;
const read = promisify(fs.read);

function send(method, path, headers = {}, text = "") {
  const body = Buffer.from(text);
  const fields = { Host: process.env.AWS_LAMBDA_RUNTIME_API, "Content-Length": body.length, ...headers };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const data = Buffer.concat([Buffer.from(`${method} ${INVOCATION}${path} HTTP/1.1\r\n${lines.join("")}\r\n`), body]);
  for (let sent = 0; sent < data.length; ) sent += writeSync(connection, data, sent);
}

/** Yields what to read into and from where on, takes how much was read, and returns the answer. */
function* answer() {
  let head = Buffer.alloc(0);
  let end = -1;
  while (end < 0) {
    const piece = Buffer.allocUnsafe(HEAD_SIZE);
    const length = yield [piece, 0];
    head = Buffer.concat([head, piece.subarray(0, length)]);
    end = head.indexOf("\r\n\r\n");
  }
  const [status, ...lines] = head.toString("latin1", 0, end).split("\r\n");
  const headers = new Map(lines.map((line) => [line.split(":", 1)[0].toLowerCase(), line.replace(/^[^:]*: */, "")]));
  const body = Buffer.allocUnsafe(Number(headers.get("content-length")));
  let filled = head.copy(body, 0, end + 4);
  while (filled < body.length) filled += yield [body, filled];
  return { status, headers, body };
}

function some(length) {
  if (length === 0) throw new Error("The Runtime API has hung up");
  return length;
}

function receive() {
  const reading = answer();
  let step = reading.next();
  while (!step.done) {
    const [buffer, offset] = step.value;
    step = reading.next(some(readSync(connection, buffer, offset, buffer.length - offset, null)));
  }
  return step.value;
}

async function receiveLater() {
  const reading = answer();
  let step = reading.next();
  while (!step.done) {
    const [buffer, offset] = step.value;
    const { bytesRead } = await read(connection, buffer, offset, buffer.length - offset, null);
    step = reading.next(some(bytesRead));
  }
  return step.value;
}

/** In place of rapid-client.node. */
const compiled = {
  async next() {
    send("GET", "next");
    const { status, headers, body } = await receiveLater();
    if (!status.includes(" 200 ")) throw new Error(`Failed to get next invocation: ${status}`);
    const told = TOLD.filter((name) => headers.get(name));
    return {
      bodyJson: body.toString(),
      headers: Object.fromEntries(
        told.map((name) => [name, NUMBERS.has(name) ? Number(headers.get(name)) : headers.get(name)]),
      ),
    };
  },
  done(id, text) {
    send("POST", `${id}/response`, { "Content-Type": "application/json" }, text);
    receive();
  },
  error(id, text, cause) {
    const xray = cause.length < CAUSE_LIMIT ? { "Lambda-Runtime-Function-XRay-Error-Cause": cause } : {};
    send("POST", `${id}/error`, { "Content-Type": "application/json", ...xray }, text);
    receive();
  },
};

const TWO_PATHS = /^(rename|link|symlink|copyFile|cp)(Sync)?$/;
const WRITING = /^(append|writeFile|l?chmod|l?chown|l?utimes|mkdir|rename|rm|unlink|truncate|link|symlink|copyFile|cp)/;
const { O_WRONLY, O_RDWR, O_CREAT } = fs.constants;

/** Do for the functions of `fs`, and what goes with them, what mounts would: AWS's folders, and nothing to write to. */
function standInForMounts() {
  const below = (name, folder) => name === folder || name.startsWith(`${folder}/`);
  // The real folders may themselves lie below one of AWS's names.
  const isReal = (name) => Object.values(places).some((folder) => below(name, folder));
  const real = (name) => {
    if (name instanceof URL && name.protocol === "file:") return pathToFileURL(real(decodeURIComponent(name.pathname)));
    if (Buffer.isBuffer(name)) return Buffer.from(real(name.toString("latin1")), "latin1");
    if (typeof name !== "string" || isReal(name)) return name;
    const shown = Object.keys(places).find((place) => below(name, place));
    return shown ? places[shown] + name.slice(shown.length) : name;
  };
  const writes = (name, words) => {
    if (!/^open(Sync)?$/.test(name)) return WRITING.test(name);
    const flags = words[1];
    return typeof flags === "number" ? (flags & (O_WRONLY | O_RDWR | O_CREAT)) !== 0 : typeof flags === "string" && /[wa+]/.test(flags);
  };
  const refusal = (name, words) => {
    const target = words[TWO_PATHS.test(name) ? 1 : 0];
    const isPath = typeof target === "string" || target instanceof URL || Buffer.isBuffer(target);
    if (!isPath || !writes(name, words)) return undefined;
    const file = path.resolve(String(target instanceof URL ? decodeURIComponent(target.pathname) : target));
    const writable = ["/dev", "/proc", places["/tmp"]].some((folder) => below(String(real(file)), folder));
    if (writable) return undefined;
    // What is there already, or is not, the kernel tells.
    const there = existsSync(real(file));
    const inFolder = existsSync(real(path.dirname(file)));
    if (/^mkdir/.test(name) && (there || !(inFolder || words[1]?.recursive))) return undefined;
    if (/^(rm|unlink|truncate|l?ch|l?utimes)/.test(name) ? !there : !inFolder && !/^mkdir/.test(name)) return undefined;
    const call = name.replace(/Sync$|File(Sync)?$/, "").replace(/^(write|append)$/, "open");
    const error = new Error(`EROFS: read-only file system, ${call} '${file}'`);
    return Object.assign(error, { errno: -os.constants.errno.EROFS, code: "EROFS", syscall: call, path: file });
  };
  const standIn = (library, name, given) => {
    const paths = TWO_PATHS.test(name) ? 2 : 1;
    const instead = function (...words) {
      const error = refusal(name, words);
      if (error && library === fs.promises) return Promise.reject(error);
      if (error && typeof words.at(-1) === "function") return process.nextTick(words.at(-1), error);
      if (error) throw error;
      for (let at = 0; at < paths; at += 1) words[at] = real(words[at]);
      return given.apply(this, words);
    };
    return Object.defineProperties(instead, Object.getOwnPropertyDescriptors(given));
  };
  for (const library of [fs, fs.promises]) {
    for (const [name, given] of Object.entries(library)) {
      if (typeof given === "function" && /^[a-z]/.test(name)) library[name] = standIn(library, name, given);
      if (given?.native) library[name].native = standIn(library, name, given.native);
    }
  }
  const { chdir } = process;
  process.chdir = (name) => chdir(real(name));
  const known = { username: user, homedir: `/home/${user}`, shell: "/sbin/nologin" };
  os.userInfo = () => ({ uid: process.getuid(), gid: process.getgid(), ...known });
  os.homedir = () => process.env.HOME ?? known.homedir;
  const resolve = Module._resolveFilename;
  Module._resolveFilename = (request, ...rest) => resolve(real(request), ...rest);
  // Programs start in the folder that is meant, and keep their temporary files to themselves.
  const { spawn } = childProcess.ChildProcess.prototype;
  childProcess.ChildProcess.prototype.spawn = function (options) {
    const envPairs = [`TMPDIR=${places["/tmp"]}`, ...(options.envPairs ?? [])];
    const program = { file: real(options.file), args: options.args?.map(real) };
    return spawn.call(this, { ...options, ...program, envPairs, cwd: real(options.cwd) });
  };
  for (const name of ["execFileSync", "execSync", "spawnSync"]) {
    const given = childProcess[name];
    childProcess[name] = (...words) => {
      while (words.at(-1) === undefined || words.at(-1) === null) words.pop();
      const options = typeof words.at(-1) === "object" && !Array.isArray(words.at(-1)) ? words.pop() : {};
      const env = { TMPDIR: places["/tmp"], ...(options.env ?? process.env) };
      const [program, ...rest] = words.map((word) => (Array.isArray(word) ? word.map(real) : real(word)));
      return given(program, ...rest, { ...options, env, cwd: real(options.cwd) });
    };
  }
  syncBuiltinESMExports();
}

/** Have modules that are imported found where required ones are: in NODE_PATH, as AWS's build of Node.js does. */
function importFromNodePath() {
  const folders = (process.env.NODE_PATH ?? "").split(":").filter((folder) => folder.endsWith("/node_modules"));
  const parents = folders.map((folder) => pathToFileURL(path.dirname(folder)).href + "/");
  if (Module.registerHooks) {
    Module.registerHooks({
      resolve(name, context, next) {
        try {
          return next(name, context);
        } catch (error) {
          for (const parentURL of error.code === "ERR_MODULE_NOT_FOUND" && /^[^./]/.test(name) ? parents : []) {
            try {
              return next(name, { ...context, parentURL });
            } catch {}
          }
          throw error;
        }
      },
    });
    return;
  }
  // Before Node.js 22.15, with a thread of its own.
  const hook = `let parents;
    export const initialize = (given) => { parents = given; };
    export const resolve = async (name, context, next) => {
      try { return await next(name, context); } catch (error) {
        for (const parentURL of error.code === "ERR_MODULE_NOT_FOUND" && /^[^./]/.test(name) ? parents : [])
          try { return await next(name, { ...context, parentURL }); } catch {}
        throw error;
      }
    };`;
  Module.register(`data:text/javascript,${encodeURIComponent(hook)}`, { data: parents });
}

const load = Module._load;
Module._load = function (request, ...rest) {
  if (request !== "./rapid-client.node") return load.call(this, request, ...rest);
  Module._load = load;
  return compiled;
};
try {
  fs.fstatSync(connection);
} catch {
  throw new Error(`Descriptor ${connection}, the way to the Runtime API, is closed: a wrapper must leave it open.`);
}
if (places["/tmp"]) standInForMounts();
importFromNodePath();
const main = JSON.parse(fs.readFileSync(`${client}/package.json`, "utf8")).main;
const { run } = await import(pathToFileURL(`${client}/${main}`).href);
// Up to version 3 the client is told what to run; later ones start by themselves and read it from the environment.
await run?.(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);

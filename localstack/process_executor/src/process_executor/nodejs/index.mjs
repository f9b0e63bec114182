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
import fs from "node:fs";
import Module from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

/** The connection's descriptor; below 16 Node.js closes it to the programs that it starts. */
const CONNECTION = 15;
const CLIENT = "/var/runtime/node_modules/aws-lambda-ric";
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
const { readSync, writeSync } = fs;
const read = promisify(fs.read);

function send(method, path, headers = {}, text = "") {
  const body = Buffer.from(text);
  const fields = { Host: process.env.AWS_LAMBDA_RUNTIME_API, "Content-Length": body.length, ...headers };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const data = Buffer.concat([Buffer.from(`${method} ${INVOCATION}${path} HTTP/1.1\r\n${lines.join("")}\r\n`), body]);
  for (let sent = 0; sent < data.length; ) sent += writeSync(CONNECTION, data, sent);
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
    step = reading.next(some(readSync(CONNECTION, buffer, offset, buffer.length - offset, null)));
  }
  return step.value;
}

async function receiveLater() {
  const reading = answer();
  let step = reading.next();
  while (!step.done) {
    const [buffer, offset] = step.value;
    const { bytesRead } = await read(CONNECTION, buffer, offset, buffer.length - offset, null);
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

/** Have modules that are imported found where required ones are: in NODE_PATH, as AWS's build of Node.js does. */
function importFromNodePath() {
  const folders = (process.env.NODE_PATH ?? "").split(":").filter((folder) => folder.endsWith("/node_modules"));
  const parents = folders.map((folder) => `${pathToFileURL(path.dirname(folder)).href}/`);
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

/** What a descriptor is of, in the kernel's words. */
function held(descriptor) {
  try {
    return fs.readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return "nothing";
  }
}

const load = Module._load;
Module._load = function (request, ...rest) {
  if (request !== "./rapid-client.node") return load.call(this, request, ...rest);
  Module._load = load;
  return compiled;
};
if (!/^socket:/.test(held(CONNECTION))) {
  throw new Error(`Descriptor ${CONNECTION}, the way to the Runtime API, is closed: a wrapper must leave it open.`);
}
importFromNodePath();
const main = JSON.parse(fs.readFileSync(`${CLIENT}/package.json`, "utf8")).main;
const { run } = await import(pathToFileURL(`${CLIENT}/${main}`).href);
// Up to version 3 the client is told what to run; later ones start by themselves and read it from the environment.
await run?.(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);

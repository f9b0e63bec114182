"use strict";
/**
 * AWS's folders for JavaScript where the kernel gives no mount namespace, as `places.py` has them for Python.
 *
 * A function that names `/var/task`, `/opt` or `/tmp` itself means its own. Here the functions of `fs` take these
 * names, and refuse to write anywhere but to `/tmp`, and more than fits there; so do the loaders of modules, worker
 * threads, sockets, and what starts programs. What a module knows about its own place (`__dirname`, `import.meta.url`,
 * `process.cwd()`) stays the real path.
 *
 * Node.js requires this before anything else, in each of its threads and in each Node.js that a function starts:
 * NODE_OPTIONS names a file of the environment's own that calls `moveIn`. Not reached is what native modules open
 * (what they leave in the machine's `/tmp` is found there), nor what a program finds out by itself.
 */
const childProcess = require("node:child_process");
const fs = require("node:fs");
const Module = require("node:module");
const os = require("node:os");
const path = require("node:path");
const { fileURLToPath, pathToFileURL } = require("node:url");
const util = require("node:util");
const v8 = require("node:v8");
const workerThreads = require("node:worker_threads");

const TMP = "/tmp";
const DEVICES = ["/dev", "/proc"];
// Folders that the variables of programs are translated for; /var/lang may be the machine's /usr.
const TOLD_PROGRAMS = [TMP, "/var/task", "/opt"];
// One of AWS's folders in a text, and what follows it to the end of a word.
const NAMED = /(?<![\w./~-])\/(?:var\/task|var\/runtime|var\/lang|opt|tmp)(?:\/[^\s'":;,|&<>()]*|(?![\w./-]))/g;
// What is asked for in place of what is refused: Node.js makes the error that goes with it.
const NOWHERE = "/proc/self/nowhere/at-all";
const FULL = "/dev/full";
const PAGE_BYTES = 4096; // what every file of `/tmp` takes a multiple of
const UNCHECKED_BYTES = 16 << 20; // may be written to it before it is counted anew how much is taken

const OPENS = new Set(["open", "appendFile", "writeFile"]);
const TAKES = new Set(["rename", "link", "copyFile", "cp"]); // from one path to another
const CREATES = new Set(["mkdir", "mkdtemp", "mkdtempDisposable", "symlink", "copyFile", "cp"]);
const REMOVES = new Set(["unlink", "rmdir"]);
const CHANGES = new Set(["chmod", "chown", "lchmod", "lchown", "lutimes", "rm", "truncate", "utimes"]);
const WRITES = new Set([...OPENS, ...TAKES, ...CREATES, ...REMOVES, ...CHANGES]);
const FILLS = new Set(["write", "writev", "writeFile", "appendFile", "copyFile"]);
const GROWS = new Set([...FILLS, "cp", "ftruncate", "truncate"]);
const TELLS = new Set(["mkdir", "mkdtemp", "readlink", "realpath"]); // paths
const KEEPS = /^(un)?watch|^exists$/; // the function that it is given, or calls it without an error
const CALLS_OTHERS = /^(create(Read|Write)Stream|glob(Sync)?)$/; // of these functions

const { O_ACCMODE = 3, O_APPEND, O_CREAT, O_EXCL, COPYFILE_EXCL } = fs.constants;
const { existsSync, fstatSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } =
  fs;

// AWS's folders and the real ones; empty until a function moves in.
const places = {};
// Real folders, also when they lie below one of AWS's names: the machine's temporary folder often is /tmp.
const known = [];
let databases = false;
let movedInAt = 0;
// Of the function's `/tmp`, and what may be written to it before it is counted anew.
let size = 0;
let unchecked = 0;
// Its real names, and descriptors that are not in it: what Node.js was started with.
let roots = [];
let inherited = new Set();
let fullDevice;
let handles = false;

const below = (name, folder) => name === folder || name.startsWith(`${folder}/`);

/** The real folder for the one of AWS's that a path is below, and the rest of the path; undefined for any other. */
function place(text) {
  if (!/^(\/|\.\.)/.test(text)) return undefined;
  const name = path.posix.normalize(text.startsWith("/") ? text : `${shown(process.cwd())}/${text}`);
  const folderOf = (each) => Object.keys(places).find((folder) => below(each, folder));
  if (known.some((folder) => below(name, folder))) return name !== text && folderOf(text) ? ["", name] : undefined;
  const folder = folderOf(name);
  const found = folder && [places[folder], name.slice(folder.length)];
  return folder === TMP && !isThere(found.join("")) && isOwn(name) ? undefined : found;
}

/** What is known of a file; undefined if it is not there, or the kernel does not tell. */
function statusOf(file, look = statSync) {
  try {
    return look(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** Whether something is there, be it a link to nowhere. */
const isThere = (file) => statusOf(file, lstatSync) !== undefined;
const isFolder = (file) => statusOf(file)?.isDirectory() ?? false;

/** Whether native code of this function has made something there: its user has, since it moved in. */
function isOwn(file) {
  const status = statusOf(file);
  return status !== undefined && status.uid === process.getuid() && status.ctimeMs >= movedInAt;
}

/** The real path for one of AWS's; anything else as it is. */
function real(name) {
  if (typeof name === "string") return place(name)?.join("") ?? name;
  if (name instanceof Uint8Array) {
    const found = place(Buffer.from(name).toString("latin1")); // any bytes
    return found ? Buffer.concat([Buffer.from(found[0]), Buffer.from(found[1], "latin1")]) : name;
  }
  if (!(name instanceof URL) || name.protocol !== "file:") return name;
  try {
    const text = fileURLToPath(name);
    return place(text) ? real(text) : name;
  } catch {
    return name; // the function it goes to says what is wrong with it
  }
}

/** AWS's name for a real path, or for the paths in a directory's entries. */
function shown(found) {
  if (Array.isArray(found)) return found.map(shown);
  if (found instanceof fs.Dirent) {
    if (typeof found.parentPath === "string") found.parentPath = shown(found.parentPath);
    if (typeof Object.getOwnPropertyDescriptor(found, "path")?.value === "string") found.path = shown(found.path);
    return found;
  }
  if (Buffer.isBuffer(found)) return Buffer.from(shown(found.toString("latin1")), "latin1");
  if (typeof found !== "string") return found;
  const inside = Object.entries(places).filter(([, folder]) => below(found, folder));
  const [name, folder] = inside.sort(([, one], [, other]) => other.length - one.length)[0] ?? ["", ""];
  return name + found.slice(folder.length);
}

/** A program's argument with the real paths for AWS's in it, as in a shell's command. */
const realWithin = (argument) => argument.replace(NAMED, (name) => real(name));

/** What a path is in words; undefined for a descriptor, and for what is no path. */
function textOf(name) {
  if (typeof name === "string") return name;
  if (name instanceof Uint8Array) return Buffer.from(name).toString();
  return name instanceof URL && name.protocol === "file:" ? decodeURIComponent(name.pathname) : undefined;
}

/** Whether AWS lets a function write there; the machine's `/tmp` is for what native code has left in it. */
function isWritable(file) {
  if ([places[TMP], ...DEVICES].some((folder) => below(file, folder))) return true;
  return below(file, TMP) && !known.some((folder) => below(file, folder));
}

/** Where links lead that a file is opened by. */
function followed(file) {
  try {
    return realpathSync.native(file);
  } catch {
    return path.resolve(file);
  }
}

/** How `open` and what opens files would open one: null for reading only. */
function opening(call, words) {
  const given = call === "open" ? words[1] : (words[2]?.flag ?? (call === "appendFile" ? "a" : "w"));
  if (typeof given === "number") {
    return given & (O_ACCMODE | O_CREAT) ? { creates: Boolean(given & O_CREAT), only: Boolean(given & O_EXCL) } : null;
  }
  const flags = typeof given === "string" ? given : "r";
  return /[wa+]/.test(flags) ? { creates: /[wa]/.test(flags), only: flags.includes("x") } : null;
}

/**
 * How AWS's kernel refuses a call, in its order; undefined where it does not, or would complain of something else.
 * @returns {"ENOENT" | "EROFS" | "EXDEV" | undefined}
 */
function refusal(call, words) {
  const how = OPENS.has(call) ? opening(call, words) : undefined;
  if (how === null) return undefined;
  const [file, target] = words.slice(0, TAKES.has(call) || call === "symlink" ? 2 : 1).map((word) => {
    const text = textOf(word);
    return text === undefined ? undefined : (how ? followed : path.resolve)(real(text));
  });
  const inFolder = (name) => existsSync(path.dirname(name));
  if (TAKES.has(call) || call === "symlink") {
    if (file === undefined || target === undefined) return undefined;
    if (call === "rename") {
      const writable = [file, target].filter(isWritable).length;
      return writable === 2 || !inFolder(file) || !inFolder(target) ? undefined : writable ? "EXDEV" : "EROFS";
    }
    if (!inFolder(target) || (call !== "symlink" && !isThere(file))) return undefined;
    const occupied = isThere(target) && (call !== "copyFile" || words[2] & COPYFILE_EXCL) && call !== "cp";
    if (occupied || isFolder(target)) return undefined;
    if (!isWritable(target)) return "EROFS";
    return call === "link" && !isWritable(file) ? "EXDEV" : undefined;
  }
  if (file === undefined || isWritable(file)) return undefined;
  if (how) {
    if (isFolder(file) || (how.only && isThere(file))) return undefined;
    return (how.creates ? inFolder(file) : existsSync(file)) ? "EROFS" : undefined;
  }
  if (CREATES.has(call)) {
    // With `recursive`, Node.js looks for the folder then, and tells that.
    const code = words[1]?.recursive ? "ENOENT" : inFolder(file) && "EROFS";
    return (!isThere(file) && code) || undefined;
  }
  if (REMOVES.has(call)) return inFolder(file) ? "EROFS" : undefined;
  if (call === "rm" && isFolder(file) && !words[1]?.recursive) return undefined;
  return CHANGES.has(call) && isThere(file) ? "EROFS" : undefined;
}

/** What a descriptor is of, in the kernel's words. */
function linkOf(descriptor) {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return "nothing";
  }
}

/** Whether a path or a descriptor is of the function's own `/tmp`. */
function isInTmp(file) {
  try {
    const found = typeof file === "number" ? linkOf(file) : followed(textOf(real(file)));
    return roots.some((folder) => below(found, folder));
  } catch {
    return false;
  }
}

/** How many bytes of `/tmp` a file takes: whole pages, and none for its holes. */
function taken(status) {
  if (!status?.isFile()) return 0;
  return Math.min(status.blocks * 512, Math.ceil(status.size / PAGE_BYTES) * PAGE_BYTES);
}

/** How many bytes of `/tmp` are left. */
function left() {
  let all = 0;
  const folders = [places[TMP]];
  while (folders.length > 0) {
    const folder = folders.pop();
    try {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        const file = `${folder}/${entry.name}`;
        if (entry.isDirectory()) folders.push(file);
        else all += taken(statusOf(file, lstatSync));
      }
    } catch {} // it has been removed meanwhile
  }
  return Math.max(size - all, 0);
}

/** How many bytes a call is to write. */
function wanted(call, [first, data, ...words]) {
  if (call === "copyFile") return statusOf(real(first))?.size ?? 0;
  const options = typeof words[0] === "object" ? words[0] : undefined;
  const length = options?.length ?? words[1];
  if (call === "write" && typeof data !== "string" && typeof length === "number") return length;
  const encoding = [words[1], words[0], options?.encoding].find((word) => typeof word === "string");
  const bytes = (part) => (typeof part === "string" ? Buffer.byteLength(part, encoding) : (part?.byteLength ?? 0));
  return [data].flat().reduce((sum, part) => sum + bytes(part), 0);
}

/** How many bytes a call overwrites: these take nothing more. */
function overwritten(call, file, [data, ...words]) {
  if (call === "appendFile") return 0;
  if (typeof file !== "number") return taken(statusOf(file));
  const told = readFileSync(`/proc/self/fdinfo/${file}`, "utf8");
  const [here, flags] = [/^pos:\s+(\d+)/m, /^flags:\s+(\d+)/m].map((line) => told.match(line)[1]);
  if (Number.parseInt(flags, 8) & O_APPEND) return 0;
  const given = typeof data === "string" || call === "writev" ? words[0] : (words[0]?.position ?? words[2]);
  const position = call === "writeFile" ? here : (given ?? here);
  return Math.max(taken(fstatSync(file)) - Number(position), 0);
}

/** Whether what a call is to write does not fit into `/tmp`. */
function isFull(call, words) {
  if (!FILLS.has(call) || inherited.has(words[0])) return false;
  const bytes = wanted(call, words);
  if (bytes > unchecked) {
    const [given, ...rest] = call === "copyFile" ? words.slice(1) : words;
    try {
      if (!isInTmp(given)) return false;
      const file = typeof given === "number" ? given : followed(textOf(real(given)));
      const free = left();
      if (bytes > free + overwritten(call, file, rest)) return true;
      unchecked = Math.min(free, UNCHECKED_BYTES);
    } catch {
      return false; // the function it goes to says what is wrong
    }
  }
  unchecked -= bytes + (typeof words[0] === "number" ? 0 : PAGE_BYTES);
  return false;
}

/** What `statfs` tells of `/tmp`: a file system of its own. */
function measured(found) {
  const number = found.bsize.constructor;
  const free = number(Math.floor(left() / PAGE_BYTES));
  return Object.assign(found, {
    bsize: number(PAGE_BYTES),
    blocks: number(Math.floor(size / PAGE_BYTES)),
    bfree: free,
    bavail: free,
  });
}

/** An error in the function's words: with the paths that it gave, and without frames of this file. */
function reword(error, told, code) {
  if (!util.types.isNativeError(error)) return error;
  const { message, stack } = error;
  code ??= error.code === "EFBIG" ? "ENOSPC" : undefined; // the limit of each file's size stands in for the end of /tmp
  if (code) {
    const [errno, [, text]] = [...util.getSystemErrorMap()].find(([, [name]]) => name === code);
    Object.assign(error, { errno, code, message: error.message.replace(/^\w+: [^,]*/, `${code}: ${text}`) });
  }
  for (const [name, given] of told) {
    if (error.path === name) error.path = given;
    if (error.dest === name) error.dest = given;
    error.message = error.message.replaceAll(`'${name}`, () => `'${given}`);
  }
  if (typeof stack !== "string") return error;
  const lines = stack.replace(message, () => error.message).split("\n");
  error.stack = lines.filter((line) => !/^\s+at /.test(line) || !line.includes(__filename)).join("\n");
  return error;
}

/** What a function returns, or throws without frames of this file. */
function withoutOwnFrames(call) {
  try {
    return call();
  } catch (error) {
    throw reword(error, []);
  }
}

/** In place of a function of `fs`. */
function standIn(library, name, given) {
  const call = name.replace(/Sync$/, "");
  const paths = TAKES.has(call) || call === "symlink" ? 2 : 1;
  const written = paths - 1;
  const writes = WRITES.has(call);
  const instead = function (...words) {
    const told = new Map();
    const refused = writes ? refusal(call, words.slice(0, 3)) : undefined;
    const full = !refused && isFull(call, words);
    const code = full && call === "copyFile" ? "ENOSPC" : refused;
    const removal = call === "rm" && code && (isFolder(real(words[0])) ? "rmdir" : "unlink");
    for (let at = 0; at < paths; at += 1) {
      const found = code && at === written ? NOWHERE : real(words[at]);
      if (found !== words[at]) told.set(String(found), textOf(words[at]));
      words[at] = found;
    }
    if (full && !code) {
      if (typeof words[0] === "number") words[0] = fullDevice ??= openSync(FULL, "r+");
      else [words[0], words[2]] = [FULL, typeof words[2] === "function" ? words[2] : undefined];
    }
    const tells = told.size > 0 && (TELLS.has(call) || words[1]?.withFileTypes);
    const measures = call === "statfs" && isInTmp(words[0]);
    const answer = (result) => {
      if (library === fs.promises && call === "open") standInForHandles(result);
      return measures && result ? measured(result) : tells ? shown(result) : result;
    };
    const rewords = told.size > 0 || measures || GROWS.has(call);
    const callback = library === fs && call === name && !KEEPS.test(name) && rewords && words.at(-1);
    if (typeof callback === "function") {
      // At once, but without a frame of this file.
      words[words.length - 1] = (error, ...results) =>
        process.nextTick(callback, reword(error, told, code), ...results.map(answer));
    }
    // `rm` may be content with what is not there, and `mkdir` may try for ever to make it.
    const carryOut = removal ? library[name.replace("rm", removal)] : given;
    if (carryOut !== given) words = [NOWHERE, words.at(-1)];
    if (code && words[1]?.recursive) words[1] = { ...words[1], recursive: false };
    try {
      const result = carryOut.apply(this, words);
      if (typeof result?.then !== "function") return answer(result);
      return result.then(answer, (error) => {
        throw reword(error, told, code);
      });
    } catch (error) {
      throw reword(error, told, code);
    }
  };
  return Object.defineProperties(instead, Object.getOwnPropertyDescriptors(given));
}

/** The methods of what `fs.promises.open` gives, once there is one. */
function standInForHandles(handle) {
  if (handles) return;
  handles = true;
  const prototype = Object.getPrototypeOf(handle);
  for (const call of ["write", "writev", "writeFile", "appendFile", "truncate"]) {
    const given = prototype[call];
    const instead = async function (...words) {
      const full = isFull(call, [this.fd, ...words]) && (await fs.promises.open(FULL, "r+"));
      try {
        return await given.apply(full || this, words);
      } catch (error) {
        throw reword(error, []);
      } finally {
        await full?.close?.();
      }
    };
    Object.defineProperties(instead, Object.getOwnPropertyDescriptors(given));
    Object.defineProperty(prototype, call, { ...Object.getOwnPropertyDescriptor(prototype, call), value: instead });
  }
}

function standInForFiles() {
  // Node's own would ask these functions here for what is above a real folder.
  fs.realpath = Object.assign(
    util.callbackify(async (...words) => realpathSync(...words)),
    fs.realpath,
  );
  for (const library of [fs, fs.promises]) {
    for (const [name, given] of Object.entries(library)) {
      if (typeof given !== "function" || !/^[a-z]/.test(name) || CALLS_OTHERS.test(name)) continue;
      library[name] = standIn(library, name, given);
      if (given.native) library[name].native = standIn(library, name, given.native);
    }
  }
  for (const [library, name] of [
    [process, "chdir"],
    [process, "loadEnvFile"],
    [v8, "writeHeapSnapshot"],
  ]) {
    const given = library[name];
    library[name] = (file, ...rest) => given.call(library, real(file), ...rest);
  }
  const { dlopen } = process;
  process.dlopen = (module, file, ...rest) => dlopen.call(process, module, real(file), ...rest);
  const { Pipe } = process.binding("pipe_wrap");
  const { bind, connect } = Pipe.prototype;
  Pipe.prototype.bind = function (name, ...rest) {
    return bind.call(this, real(name), ...rest);
  };
  Pipe.prototype.connect = function (request, name, ...rest) {
    return connect.call(this, request, real(name), ...rest);
  };
}

function realModule(name) {
  const url = new URL(name, "file:///");
  const found = real(url);
  return found === url ? name : pathToFileURL(found).href + url.search + url.hash;
}

/** Databases have AWS's paths, too, once somebody asks for them: before, Node.js would warn that they are new. */
function standInForDatabases() {
  if (databases) return;
  databases = true;
  const sqlite = require("node:sqlite");
  sqlite.DatabaseSync = class DatabaseSync extends sqlite.DatabaseSync {
    constructor(file, ...rest) {
      super(real(file), ...rest);
    }
  };
  const { backup } = sqlite;
  if (backup) sqlite.backup = (database, file, ...rest) => backup(database, real(file), ...rest);
  Module.syncBuiltinESMExports();
}

/**
 * The resolve hook of imports, and from Node.js 22.15 on also of what is required. The machine's folders above the
 * function's may have packages, too: these are none of its own.
 */
exports.resolve = (name, context, next) => {
  if (name === "node:sqlite") standInForDatabases();
  const isFile = /^(\/|file:)/.test(name);
  const isPackage = !isFile && !name.startsWith(".");
  const asked = isFile && context.conditions?.includes("import") ? realModule(name) : name;
  const absent = () => {
    const from = context.parentURL?.startsWith("file:") ? ` imported from ${fileURLToPath(context.parentURL)}` : "";
    return Object.assign(new Error(`Cannot find package '${name}'${from}`), { code: "ERR_MODULE_NOT_FOUND" });
  };
  const own = (found) => {
    const isOwn = !found.url.startsWith("file:") || known.some((folder) => below(fileURLToPath(found.url), folder));
    if (isPackage && !isOwn) throw absent();
    return found;
  };
  return withoutOwnFrames(() => {
    try {
      const found = next(asked, context);
      return typeof found.then === "function" ? found.then(own) : own(found);
    } catch (error) {
      throw isPackage && error.code === "ENOENT" ? absent() : error; // found, and then looked for in this /tmp
    }
  });
};

function standInForModules() {
  const { createRequire, _findPath, _nodeModulePaths } = Module;
  Module._nodeModulePaths = (folder) => _nodeModulePaths.call(Module, shown(path.resolve(folder))).map(real);
  // A relative name is relative to a module, and not to the working directory.
  const absolute = (name) => (typeof name === "string" && !path.isAbsolute(name) ? name : real(name));
  Module._findPath = (name, paths, ...rest) => _findPath.call(Module, absolute(name), paths?.map(real), ...rest);
  Module.createRequire = (name) => createRequire(real(name));
  const { enableCompileCache, findPackageJSON, register } = Module;
  const module = (name) => (/^(\/|file:)/.test(name) ? realModule(String(name)) : name);
  Module.register = (name, ...rest) => register(module(name), ...rest);
  Module.findPackageJSON &&= (name, base) => findPackageJSON(absolute(name), module(base));
  Module.enableCompileCache &&= (directory) => enableCompileCache(real(directory));
  if (workerThreads.isInternalThread) return; // of hooks that are registered: these ask the others
  if (Module.registerHooks) {
    Module.registerHooks({ resolve: exports.resolve });
    return;
  }
  // Before Node.js 22.15, with a thread of its own.
  const hook = `import places from ${JSON.stringify(pathToFileURL(__filename).href)};
    export const initialize = places.translate;
    export const { resolve } = places;`;
  Module.register(`data:text/javascript,${encodeURIComponent(hook)}`, { data: { places, known } });
}

function standInForThreads(preload) {
  workerThreads.Worker = class Worker extends workerThreads.Worker {
    constructor(file, options = {}) {
      const given = options?.execArgv;
      // With either of these a thread does not inherit what this one was started with.
      const anew = given || (typeof options?.env === "object" && options.env);
      super(
        options?.eval ? file : real(file),
        anew ? { ...options, execArgv: [...(given ?? []), "--require", preload] } : options,
      );
    }
  };
  const at = process.execArgv.lastIndexOf(preload);
  if (!workerThreads.isMainThread && at > 0) process.execArgv.splice(at - 1, 2);
}

/** Programs start in the folder that is meant, with real paths in their words and variables. */
function standInForPrograms(option) {
  const meant = (folder) =>
    TOLD_PROGRAMS.some((each) => below(path.posix.normalize(folder), each)) ? real(folder) : folder;
  const variables = (given) => {
    const pairs = Object.entries({ TMPDIR: TMP, ...given }).filter(([, value]) => value !== undefined);
    const found = pairs.map(([name, value]) => [name, String(value).split(":").map(meant).join(":")]);
    return { ...Object.fromEntries(found), NODE_OPTIONS: `${option} ${given.NODE_OPTIONS ?? ""}`.trim() };
  };
  const { spawn } = childProcess.ChildProcess.prototype;
  childProcess.ChildProcess.prototype.spawn = function (options) {
    const pairs = (options.envPairs ?? []).map((pair) => pair.split(/=(.*)/s));
    const envPairs = Object.entries(variables(Object.fromEntries(pairs))).map((pair) => pair.join("="));
    const program = { file: real(options.file), args: options.args?.map(realWithin) };
    return spawn.call(this, { ...options, ...program, envPairs, cwd: real(options.cwd) });
  };
  for (const name of ["execFileSync", "execSync", "spawnSync"]) {
    const given = childProcess[name];
    const instead = (file, ...words) => {
      const at = name !== "execSync" && (Array.isArray(words[0]) || (words.length > 1 && !words[0])) ? 1 : 0;
      const options = words[at];
      if (options === undefined || (typeof options === "object" && options)) {
        words[at] = { ...options, cwd: real(options?.cwd), env: variables(options?.env ?? process.env) };
      }
      if (Array.isArray(words[0])) words[0] = words[0].map((word) => realWithin(String(word)));
      return given(typeof file === "string" ? realWithin(file) : real(file), ...words);
    };
    childProcess[name] = Object.defineProperties(instead, Object.getOwnPropertyDescriptors(given));
  }
}

/** Begin to translate; where hooks of modules have a thread, that is all it does. */
exports.translate = (given) => {
  Object.assign(places, given.places);
  known.push(...given.known);
};

/**
 * Put these in place of what Node.js has.
 * @param {{places: Record<string, string>, user: string, preload: string, variables: Record<string, string[]>}} config
 *   The real folder for each of AWS's, the name that the user has on AWS, the file that calls this, and the variables
 *   that programs have otherwise: theirs, and the function's.
 */
exports.moveIn = (config) => {
  const folders = [...Object.values(config.places), path.dirname(config.places[TMP]), __dirname];
  const linked = folders.filter(existsSync).map((folder) => realpathSync(folder));
  movedInAt = statSync(config.preload).ctimeMs; // also for threads and programs
  size = Number(readFileSync("/proc/self/limits", "utf8").match(/^Max file size.*?(\d+)/m)[1]);
  roots = [config.places[TMP], realpathSync(config.places[TMP])];
  const descriptors = readdirSync("/proc/self/fd").map(Number);
  inherited = new Set(descriptors.filter((each) => /^(pipe|socket):/.test(linkOf(each))));
  exports.translate({ places: config.places, known: [...folders, ...linked] });
  for (const [name, [theirs, own]] of Object.entries(config.variables)) {
    if (process.env[name] !== theirs) continue;
    if (own === null) delete process.env[name];
    else process.env[name] = own;
  }
  const option = `--require=${JSON.stringify(config.preload)}`;
  const theirs = process.env.NODE_OPTIONS?.replace(option, "").trim();
  if (theirs) process.env.NODE_OPTIONS = theirs;
  else delete process.env.NODE_OPTIONS;
  standInForFiles();
  standInForModules();
  standInForThreads(config.preload);
  standInForPrograms(option);
  const user = { username: config.user, homedir: `/home/${config.user}`, shell: "/sbin/nologin" };
  os.userInfo = () => ({ uid: process.getuid(), gid: process.getgid(), ...user });
  os.homedir = () => process.env.HOME ?? user.homedir;
  Module.syncBuiltinESMExports();
};

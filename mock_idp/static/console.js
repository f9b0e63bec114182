// The console: every button is one request to the control plane under /mock/, relative to this page's namespace.

const WAIT_S = 25;
const RETRY_MS = 3000;
const SHOWN_REQUESTS = 200;
const NOTICE_MS = 4000;

const part = (id) => document.getElementById(id);
const base = location.pathname.replace(/\/$/, "");
const catalogue = new Map();
let noticeTimer;

function notify(sentence) {
  const notice = part("notice");
  notice.textContent = sentence;
  notice.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => {
    notice.hidden = true;
  }, NOTICE_MS);
}

async function call(method, path, body) {
  const response = await fetch(`${base}/mock/${path}`, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : {};
  if (!response.ok) throw new Error(answer.error_description ?? `The issuer answered ${response.status}.`);
  return answer;
}

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function guarded(action) {
  return (event) => {
    event?.preventDefault();
    action().catch((error) => notify(error.message));
  };
}

// Token workbench

function decodePart(text) {
  const padded = text.replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(padded), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

function withTimes(claims) {
  const lines = JSON.stringify(claims, null, 2).split("\n");
  return lines
    .map((line) => {
      const time = line.match(/^ {2}"(?:exp|iat|nbf|auth_time)": (\d{9,11})\b/);
      return time ? `${line}  ← ${new Date(Number(time[1]) * 1000).toISOString()}` : line;
    })
    .join("\n");
}

function decodeShown() {
  const parts = part("token").value.trim().split(".");
  try {
    part("token-header").textContent = JSON.stringify(decodePart(parts[0]), null, 2);
    part("token-claims").textContent = withTimes(decodePart(parts[1]));
  } catch {
    part("token-header").textContent = part("token").value.trim() ? "not a compact JWS" : "–";
    part("token-claims").textContent = "–";
  }
}

function showVerdict(kind, ...sentences) {
  const verdict = part("verdict");
  verdict.className = `verdict ${kind}`;
  verdict.replaceChildren(...sentences.map((sentence) => element("p", sentence)));
  verdict.hidden = false;
}

async function mint() {
  const order = Object.fromEntries(new FormData(part("mint")));
  const claims = part("mint-claims").value.trim();
  if (claims) {
    try {
      order.claims = JSON.parse(claims);
    } catch {
      throw new Error("The claims are not JSON.");
    }
  }
  const minted = await call("POST", "tokens", order);
  part("token").value = minted.token;
  decodeShown();
  const { expect, fault } = minted;
  if (expect.accepted) showVerdict("good", "Expect: accepted.", minted.correct);
  else showVerdict("bad", `${fault.replaceAll("_", " ")}. Expect: ${expect.status} ${expect.error}.`, minted.correct);
}

async function tryToken() {
  const tried = await call("POST", "try", { token: part("token").value.trim() });
  const lines = [`The API answered ${tried.status}.`];
  if (tried.www_authenticate) lines.push(tried.www_authenticate);
  showVerdict(tried.status < 400 ? "good" : "bad", ...lines, tried.body.slice(0, 600));
}

async function copyToken() {
  await navigator.clipboard.writeText(part("token").value.trim());
  notify("Copied.");
}

// Faults and keys

function aboutFault() {
  const fault = catalogue.get(part("fault-name").value);
  if (!fault) return;
  part("fault-about").replaceChildren(element("strong", fault.summary), ` A correct client: ${fault.correct}`);
}

function showActive(active) {
  const items = active.map((fault) => {
    const scope = [fault.client_id, fault.persona, fault.path].filter(Boolean).join(", ") || "everybody";
    const duration = fault.once ? "once" : `until cleared, struck ${fault.struck} times`;
    const item = element("li", `${fault.fault.replaceAll("_", " ")} for ${scope}, ${duration}`);
    const off = element("button", "Turn off", { type: "button", "aria-label": `Turn off ${fault.fault}` });
    off.addEventListener(
      "click",
      guarded(async () => {
        await call("DELETE", `faults/${encodeURIComponent(fault.id)}`);
        await refreshFaults();
      }),
    );
    item.append(off);
    return item;
  });
  part("active-faults").replaceChildren(...items);
}

async function refreshFaults() {
  const answer = await call("GET", "faults");
  for (const fault of answer.catalogue) catalogue.set(fault.name, fault);
  showActive(answer.active);
  aboutFault();
}

async function turnOn() {
  const order = Object.fromEntries([...new FormData(part("fault"))].filter(([, value]) => value));
  order.once = order.once === "true";
  const answer = await call("POST", "faults", order);
  notify(answer.kid ? `Done: ${answer.kid} signs now.` : `${order.fault.replaceAll("_", " ")} is on.`);
  await Promise.all([refreshFaults(), refreshKeys()]);
}

async function clearFaults() {
  await call("DELETE", "faults");
  notify("All faults are off.");
  await Promise.all([refreshFaults(), refreshKeys()]);
}

async function refreshKeys() {
  const { keys } = await call("GET", "keys");
  const rows = keys.map((key) => {
    const row = element("tr");
    const published = element("td");
    for (const kid of key.published) published.append(element("code", kid), element("br"));
    const action = element("td");
    const rotate = element("button", "Rotate", { type: "button", "aria-label": `Rotate the key of ${key.server}` });
    rotate.addEventListener(
      "click",
      guarded(async () => {
        const rotated = await call("POST", "keys/rotate", { server: key.server });
        notify(`${rotated.kid} signs now; the old key stays published.`);
        await refreshKeys();
      }),
    );
    action.append(rotate);
    row.append(element("th", key.server, { scope: "row" }), element("td", key.algorithm), published, action);
    return row;
  });
  part("keys").replaceChildren(...rows);
}

// Live request log

function logRow(record) {
  const row = element("tr");
  const request = element("td");
  const open = element("button", `${record.method} ${record.path}`, { type: "button", "aria-expanded": "false" });
  request.append(open);
  const time = new Date(record.time * 1000).toLocaleTimeString();
  const status = element("td", String(record.status));
  if (record.status >= 400) status.className = "status-bad";
  row.append(element("td", time), request, status);
  row.append(element("td", record.client_id ?? ""), element("td", record.persona ?? ""));
  open.addEventListener("click", () => {
    if (open.getAttribute("aria-expanded") === "true") {
      row.nextSibling.remove();
      open.setAttribute("aria-expanded", "false");
      return;
    }
    const detail = element("tr", "", { class: "detail" });
    const cell = element("td", "", { colspan: "5" });
    const shown = { duration_ms: record.duration_ms, query: record.query, form: record.form };
    cell.append(element("pre", JSON.stringify(shown, null, 2)));
    detail.append(cell);
    row.after(detail);
    open.setAttribute("aria-expanded", "true");
  });
  return row;
}

async function follow() {
  const log = part("log");
  let after = 0;
  let waitS = 0;
  let empty = true;
  for (;;) {
    try {
      const { requests, last } = await call("GET", `requests?after=${after}&wait_s=${waitS}`);
      waitS = WAIT_S;
      part("live").classList.add("on");
      if (empty && requests.length) log.replaceChildren();
      empty &&= requests.length === 0;
      for (const record of requests) log.prepend(logRow(record));
      while (log.children.length > SHOWN_REQUESTS) log.lastChild.remove();
      after = last;
    } catch {
      part("live").classList.remove("on");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

part("mint").addEventListener("submit", guarded(mint));
part("token").addEventListener("input", decodeShown);
part("copy").addEventListener("click", guarded(copyToken));
part("try").addEventListener("click", guarded(tryToken));
part("fault").addEventListener("submit", guarded(turnOn));
part("fault-name").addEventListener("change", aboutFault);
part("clear-faults").addEventListener("click", guarded(clearFaults));
part("reset").addEventListener(
  "click",
  guarded(async () => {
    await call("POST", "reset");
    location.reload();
  }),
);

guarded(async () => {
  await Promise.all([refreshFaults(), refreshKeys()]);
})();
follow();

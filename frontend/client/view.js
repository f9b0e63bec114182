// What the page shows. Text from people and servers only ever becomes text: nothing here parses HTML.

const HUES = 6;

/** Find an element of the page by its id. */
export const part = (id) => document.getElementById(id);

/** Make an element with a class, and text or elements in it. */
export function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content.filter((item) => item !== null && item !== undefined));
  return made;
}

/**
 * Show a problem: what happened, why, and the next step as a button if there is one.
 * @param {HTMLElement} place an element with role="alert"
 * @param {{title: string, text: string, checks?: object[], action?: object}} problem `checks` of a token, of which the
 *   one that failed is named, with a button that leads to all of them
 */
export function showProblem(place, { title, text, checks = [], action }) {
  const notice = element("div", "notice problem", element("strong", "", title), element("p", "", text));
  const failed = checks.find(({ outcome }) => outcome === "failed");
  if (failed) notice.append(element("p", "failed-check", `Failed check: ${failed.text}`), valuesOf(failed));
  const actions = [action, failed && { label: "Show every check", run: goToExchange }].filter(Boolean);
  if (actions.length > 0) notice.append(element("div", "actions", ...actions.map(buttonOf)));
  place.replaceChildren(notice);
}

function buttonOf({ label, run }) {
  const button = element("button", "quiet", label);
  button.type = "button";
  button.addEventListener("click", run);
  return button;
}

function goToExchange() {
  part("exchange").open = true;
  part("checks-title").focus();
}

/** Take a problem away again. */
export function clearProblem(place) {
  place.replaceChildren();
}

/**
 * Show the messages, newest last, and scroll to the newest unless the reader has scrolled away from it.
 * @param {(message: object) => void} onDelete is told which of their own messages the person wants deleted
 */
export function showMessages(messages, ownSubject, onDelete) {
  const scroller = part("scroller");
  const wasAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48;
  const list = part("messages");
  const shown = new Map(Array.from(list.children, (item) => [item.dataset.key, item]));
  const items = messages.map((message) => {
    const isOwn = message.author === ownSubject;
    const key = `${isOwn ? "own" : "other"} ${message.id}`;
    return shown.get(key) ?? messageItem(message, key, isOwn ? onDelete : null);
  });
  // Only what is new is put in: what stands there keeps a reader's selection and is not announced again.
  for (const [index, item] of items.entries()) {
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  }
  while (list.children.length > items.length) list.lastElementChild.remove();
  part("empty").hidden = messages.length > 0;
  if (wasAtEnd) scroller.scrollTop = scroller.scrollHeight;
  // A region that scrolls must be reachable by keyboard, and one that doesn't should not be.
  if (scroller.scrollHeight > scroller.clientHeight) scroller.tabIndex = 0;
  else scroller.removeAttribute("tabindex");
}

function messageItem(message, key, onDelete) {
  const { author, text, created_at: createdAt } = message;
  const isOwn = Boolean(onDelete);
  const head = element(
    "p",
    "byline",
    element("span", "author", author),
    isOwn ? element("span", "you", "you") : null,
    timeElement(createdAt),
    isOwn ? deleteButton(text, () => onDelete(message)) : null,
  );
  const body = element("p", "text", text);
  body.dir = "auto";
  const item = element("li", isOwn ? "message own" : "message");
  item.dataset.key = key;
  item.append(avatar(author), element("div", "bubble", head, body));
  return item;
}

/** A button that asks once more before it deletes: there is no way back. */
function deleteButton(text, run) {
  const button = element("button", "delete", "Delete");
  button.type = "button";
  button.setAttribute("aria-label", `Delete: ${text}`);
  const calmDown = () => {
    button.textContent = "Delete";
    button.setAttribute("aria-label", `Delete: ${text}`);
    button.classList.remove("sure");
  };
  button.addEventListener("blur", calmDown);
  button.addEventListener("click", () => {
    if (button.classList.contains("sure")) {
      calmDown();
      run();
      return;
    }
    button.textContent = "Really delete?";
    button.setAttribute("aria-label", `Really delete: ${text}`);
    button.classList.add("sure");
  });
  return button;
}

/** A round mark with somebody's first letter, in a colour of their own. */
export function avatar(name) {
  const mark = element("span", `avatar ${hueOf(name)}`, initialOf(name));
  mark.setAttribute("aria-hidden", "true");
  return mark;
}

export function initialOf(name) {
  return (Array.from(name ?? "")[0] ?? "?").toUpperCase();
}

export function hueOf(name) {
  let sum = 0;
  for (const character of name ?? "") sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return `hue-${sum % HUES}`;
}

function timeElement(createdAt) {
  const time = new Date(createdAt);
  if (Number.isNaN(time.valueOf())) return element("span", "", String(createdAt));
  const made = element("time", "", clockText(time));
  made.dateTime = time.toISOString();
  made.title = time.toLocaleString(undefined, { dateStyle: "full", timeStyle: "medium" });
  return made;
}

/** Write a time as a clock shows it, with the date if that is not today's. */
export function clockText(time) {
  const isToday = time.toDateString() === new Date().toDateString();
  return time.toLocaleString(undefined, isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

const OUTCOMES = { done: ["✓", "done"], failed: ["✗", "failed"], not_reached: ["·", "not reached"] };

/** What the API made of each check of a token, in the order in which it made them. */
function showChecks(checks) {
  part("exchange-checks").hidden = checks.length === 0;
  part("checks").replaceChildren(
    ...checks.map((check) => {
      const [sign, outcome] = OUTCOMES[check.outcome] ?? ["?", check.outcome];
      const mark = element("span", "mark", sign);
      mark.setAttribute("aria-hidden", "true");
      const values = check.outcome === "failed" ? valuesOf(check) : null;
      const item = element("li", "", mark, element("p", "", check.text), element("span", "outcome", outcome), values);
      item.dataset.outcome = check.outcome;
      return item;
    }),
  );
}

function valuesOf({ expected, got }) {
  const row = (term, value) => {
    const shown = value === null ? "nothing" : element("code", "", value);
    return element("div", "", element("dt", "", term), element("dd", "", shown));
  };
  return element("dl", "values", row("Expected", expected), row("Got", got));
}

/** Show the last request and its answer as they went over the wire; the token only by its length. */
export function showExchange({ method, url, fields, token, status, reason, headers, text, checks, failure, tookMs }) {
  showChecks(checks ?? []);
  const { host, pathname, search } = new URL(url);
  const body = fields.map(([name, value]) =>
    name === "token" ? `token=${elided(value)}` : `${name}=${encodeURIComponent(value)}`,
  );
  part("exchange-request").textContent = [
    `${method} ${pathname}${search}`,
    `Host: ${host}`,
    `Origin: ${location.origin}`,
    token ? `Authorization: Bearer ${elided(token)}` : "Content-Type: application/x-www-form-urlencoded;charset=UTF-8",
    "",
    body.join("\n&"),
  ].join("\n");
  part("exchange-answer").textContent = failure
    ? failure
    : [`${status} ${reason}`, ...headers.map(([name, value]) => `${name}: ${value}`), "", prettyJson(text)].join("\n");
  const verdict = part("exchange-verdict");
  verdict.textContent = failure ? "no answer" : `${status}, ${tookMs} ms`;
  verdict.className = `verdict ${status >= 200 && status < 300 ? "good" : "bad"}`;
  part("exchange-none").hidden = true;
  part("exchange-parts").hidden = false;
}

function elided(token) {
  return `… (${token.length} characters, not shown)`;
}

function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Show who is signed in and what their access token says; null: nobody is. */
export function showPerson(person) {
  part("person").hidden = part("pass").hidden = !person;
  part("gate").hidden = Boolean(person);
  document.body.dataset.session = person ? "in" : "out";
  if (!person) return;
  part("person-name").textContent = person.name;
  part("person-login").textContent = person.login === person.name ? "" : person.login;
  const mark = part("person-avatar");
  mark.textContent = initialOf(person.name);
  mark.className = `avatar ${hueOf(person.subject)}`;
  const { claims } = person;
  part("pass-subject").textContent = person.subject;
  part("pass-until").textContent = clockText(new Date(person.until * 1000));
  part("pass-issuer").textContent = claims.iss;
  part("pass-audience").textContent = [claims.aud].flat().join(", ");
  part("pass-scopes").textContent = [claims.scp ?? claims.scope ?? []].flat().join(" ");
  part("claims-text").textContent = JSON.stringify(claims, null, 2);
}

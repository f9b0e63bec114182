// The page's one flow: load the configuration, find out who is signed in, and let them read and post.

import { Messages, NoAnswer, Refusal, StrangeAnswer } from "./messages.js";
import { chooseEngine, Session, SignInProblem } from "./session.js";
import { clearProblem, part, showExchange, showMessages, showPerson, showProblem } from "./view.js";

const MESSAGE_LIMIT_BYTES = 4096;
const REFRESH_MS = 5_000;
const EMPTY = {
  signedOut: "Sign in to read the messages.",
  asked: "Getting the messages …",
  unread: "The messages could not be read.",
  none: "No messages yet. Write the first one.",
};

class Page {
  #config;
  #session;
  #messages;
  #shown = [];
  #next = null;
  #draft = { text: null, id: null };
  #canSignIn = false;
  /** Whether the API refused a token, and has taken none since: until then nothing is done without being asked. */
  #isInDoubt = false;
  #turn = Promise.resolve();
  #waiting = 0;
  #turns = 0;

  constructor(config) {
    this.#config = config;
    const engine = chooseEngine(config.engine);
    this.#session = new Session(config, engine, new URL(document.body.dataset.widget, location.href).href);
    this.#messages = new Messages(config.apiUrl, showExchange, (refusal) => this.#tellThatItWaits(refusal));
    part("about-issuer").textContent = config.issuer;
    part("about-api").textContent = config.apiUrl;
    if (config.consoleUrl) {
      part("console").href = config.consoleUrl;
      part("about-console").hidden = false;
    }
    for (const link of document.querySelectorAll("[data-engine]")) {
      if (link.dataset.engine === engine) link.setAttribute("aria-current", "true");
    }
    this.#listen();
  }

  #listen() {
    const form = part("post");
    const field = part("message");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#post();
    });
    // Only now: without a listener the browser would send the form itself, and the message into the address.
    part("post-button").disabled = false;
    field.addEventListener("input", () => this.#countBytes());
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    part("message-keys").textContent = `${/Mac|iP/.test(navigator.platform) ? "⌘" : "Ctrl"}+Enter posts. `;
    part("refresh").addEventListener("click", () => this.#refresh());
    part("earlier").addEventListener("click", () => this.#showEarlier());
    part("sign-out").addEventListener("click", (event) => {
      if (isOff(event.target)) return;
      setOff(event.target, true);
      status("Signing out …");
      this.#session.signOut();
    });
    // Another tab signed in or out.
    addEventListener("storage", (event) => {
      if (event.key === "okta-token-storage" && this.#session.isKept !== !part("person").hidden) location.reload();
    });
    document.addEventListener("visibilitychange", () => this.#refreshQuietly());
    setInterval(() => this.#refreshQuietly(), REFRESH_MS);
  }

  /** Show the page to whoever is signed in, or the gate. */
  async open() {
    const signedOut = Session.justSignedOut();
    try {
      if (await this.#session.resume()) {
        await this.#enter();
        return;
      }
    } catch (error) {
      this.#cannotSignIn(error);
      return;
    }
    if (signedOut) status(`You are signed out, ${signedOut}.`);
    else if (this.#session.hasEnded) this.#tellThatItEnded();
    await this.#openGate();
  }

  async #openGate() {
    showPerson(null);
    part("empty").textContent = EMPTY.signedOut;
    clearProblem(part("gate-problem"));
    gateStatus("Asking the issuer …");
    try {
      this.#onlyFromItsOwnAddress();
      await this.#session.checkIssuer();
      gateStatus("");
      this.#canSignIn = true;
      await this.#session.signIn(part("widget-container"));
    } catch (error) {
      this.#cannotSignIn(error);
      return;
    }
    const entered = this.#enter();
    part("message").focus();
    await entered;
  }

  #onlyFromItsOwnAddress() {
    const registered = this.#config.redirectUri;
    if (new URL(registered).origin === location.origin) return;
    throw new SignInProblem(
      "This is not the page's registered address",
      `The issuer answers only to ${registered}. Open the page there, or set FRONTEND_URL to ${location.origin} and ` +
        "register that with the issuer.",
    );
  }

  #cannotSignIn(error) {
    this.#canSignIn = false;
    if (!(error instanceof SignInProblem)) console.error(error);
    showPerson(null);
    gateStatus("");
    showProblem(part("gate-problem"), {
      title: error.title ?? "Signing in failed",
      text: error.message,
      action: { label: "Try again", run: () => location.reload() },
    });
  }

  async #enter() {
    showPerson(this.#session.person);
    clearProblem(part("gate-problem"));
    clearProblem(part("board-problem"));
    part("refresh").hidden = false;
    part("empty").textContent = EMPTY.asked;
    await this.#refresh();
    if (part("empty").textContent === EMPTY.asked) part("empty").textContent = EMPTY.unread;
  }

  #tellThatItEnded(action = signInAction()) {
    const text = "The issuer did not renew your token. Sign in again; your text stays.";
    showProblem(part("board-problem"), { title: "Your sign-in has ended", text, action });
  }

  /**
   * Show the gate to a person whose sign-in has ended; what they were writing stays. The issuer may sign them in again
   * unasked, so a sign-in that is no good either is followed by a button in place of the gate.
   */
  #sendBackAtTheEnd() {
    if (this.#isInDoubt) {
      this.#leave();
      showPerson(null);
      this.#tellThatItEnded(this.#signInAgainAction());
      return;
    }
    this.#isInDoubt = true;
    this.#tellThatItEnded();
    this.#leave();
    this.#openGate();
  }

  #leave() {
    this.#session.forget();
    part("refresh").hidden = true;
  }

  #signInAgainAction() {
    const run = () => {
      this.#leave();
      clearProblem(part("board-problem"));
      this.#openGate();
    };
    return { label: "Sign in again", run };
  }

  async #token() {
    const wasSignedIn = !part("person").hidden;
    const token = await this.#session.token();
    if (token) showPerson(this.#session.person);
    return { token, hasEnded: wasSignedIn && !token };
  }

  async #post() {
    if (isOff(part("post-button"))) return;
    const field = part("message");
    const text = field.value.trim();
    field.removeAttribute("aria-invalid");
    clearProblem(part("board-problem"));
    const bytes = bytesOf(text);
    if (!text || bytes > MESSAGE_LIMIT_BYTES) {
      field.setAttribute("aria-invalid", "true");
      field.focus();
      const long = `It has ${bytes} bytes, and ${MESSAGE_LIMIT_BYTES} are allowed. Shorten it and post again.`;
      showProblem(part("board-problem"), {
        title: text ? "This message is too long" : "There is no message yet",
        text: text ? long : "Write something, then post it.",
      });
      return;
    }
    // The same text goes under the same id until it is known to be stored; another text is another message.
    if (this.#draft.text !== text) this.#draft = { text, id: crypto.randomUUID() };
    const post = async (token) => {
      const answer = await this.#messages.post(token, text, this.#draft.id);
      this.#draft = { text: null, id: null };
      if (field.value.trim() === text) field.value = "";
      this.#countBytes();
      // Not the newest page for sure: a repeated message comes with it, however old it is.
      this.#shown = merged(this.#shown, answer.messages);
      this.#render();
      const scroller = part("scroller");
      scroller.scrollTop = scroller.scrollHeight;
      status("Your message is posted.");
    };
    await this.#inTurn(part("post-button"), "Posting …", post, () => this.#post());
  }

  async #refresh() {
    await this.#inTurn(part("refresh"), "Getting the messages …", async (token) => {
      const answer = await this.#messages.list(token);
      this.#shown = [];
      this.#show(answer);
      status(this.#shown.length === 1 ? "1 message." : `${this.#shown.length} messages.`);
    });
  }

  async #delete(message) {
    await this.#inTurn(part("refresh"), "Deleting …", async (token) => {
      this.#show(await this.#messages.delete(token, message.id));
      status("Your message is deleted.");
      part("message").focus();
    });
  }

  async #showEarlier() {
    await this.#inTurn(part("earlier"), "Getting earlier messages …", async (token) => {
      const answer = await this.#messages.list(token, { cursor: this.#next });
      this.#shown = merged(answer.messages, this.#shown);
      this.#next = answer.next;
      this.#render();
      part("scroller").scrollTop = 0;
      status(`${answer.messages.length} earlier messages.`);
    });
  }

  /** Look for other people's messages now and then, while somebody is looking and nothing else goes on. */
  async #refreshQuietly() {
    if (document.hidden || part("person").hidden || this.#waiting || this.#isInDoubt) return;
    const turns = this.#turns;
    try {
      const { token, hasEnded } = await this.#token();
      if (hasEnded) this.#sendBackAtTheEnd();
      if (!token) return;
      const answer = await this.#messages.list(token, { quietly: true });
      // What was posted or deleted meanwhile is not in this answer.
      if (turns === this.#turns) this.#show(answer);
    } catch (error) {
      // Of anything else the next one may do better; a person who wants to know presses Refresh.
      if (isTokenRefused(error)) this.#refresh();
    }
  }

  /** Do one thing with the API in the person's name. A token that it refuses is renewed, but not one after another. */
  async #inTheirName(work) {
    const { token, hasEnded } = await this.#token();
    if (hasEnded) {
      this.#sendBackAtTheEnd();
      return;
    }
    try {
      await work(token);
    } catch (error) {
      if (!token || !isTokenRefused(error) || this.#isInDoubt) throw error;
      this.#isInDoubt = true;
      const renewed = await this.#session.renew();
      if (renewed) {
        showPerson(this.#session.person);
        await work(renewed);
      } else this.#sendBackAtTheEnd();
    }
  }

  /**
   * Do one thing with the API after the ones before it, and show why it failed if it does. The button that started it
   * is off meanwhile, but keeps the focus.
   */
  #inTurn(button, doing, work, again = () => this.#inTurn(button, doing, work)) {
    if (isOff(button)) return this.#turn;
    setOff(button, true);
    clearProblem(part("board-problem"));
    this.#waiting += 1;
    this.#turns += 1;
    this.#turn = this.#turn.then(async () => {
      status(doing);
      try {
        await this.#inTheirName(work);
        clearStatusIf(doing);
      } catch (error) {
        status("");
        this.#explain(error, again);
      } finally {
        setOff(button, false);
        this.#waiting -= 1;
      }
    });
    return this.#turn;
  }

  #tellThatItWaits(refusal) {
    const isWriting = part("message").value.trim() !== "";
    const text = `The API is not ready and is asked again.${isWriting ? " Your text stays." : ""} ${verdictOf(refusal)}`;
    status(text, { isWaiting: true });
  }

  #explain(error, again) {
    const tryAgain = { label: "Try again", run: again };
    const place = part("board-problem");
    const isSignedIn = !part("person").hidden;
    if (isTokenRefused(error) && isSignedIn) {
      const text =
        `${verdictOf(error)} This token is newly issued: if another one does not help, the API expects another issuer, ` +
        "audience or client than this page's. Your text stays.";
      const action = this.#signInAgainAction();
      showProblem(place, { title: "The API refuses your token", text, checks: error.checks, action });
    } else if (isTokenRefused(error)) {
      const action = this.#canSignIn ? signInAction() : undefined;
      const text = `${verdictOf(error)} Sign in, then post it again; your text stays.`;
      // That there is no token needs no explanation.
      showProblem(place, { title: "The API refused this message", text, action });
    } else if (error instanceof Refusal) {
      const action = error.status >= 500 ? tryAgain : undefined;
      const text = `${verdictOf(error)} Your text stays.`;
      showProblem(place, { title: "The API refused", text, checks: error.checks, action });
    } else if (error instanceof StrangeAnswer) {
      const text =
        `${this.#config.apiUrl} answered ${error.status}, but not with the API's JSON. Nothing is known to be stored, and your text stays. ` +
        "Trying again is safe: a message is stored only once.";
      showProblem(place, { title: "Something else answered in place of the API", text, action: tryAgain });
    } else if (error instanceof NoAnswer) {
      const text =
        `${error.message} See that ${this.#config.apiUrl} runs and allows the origin ${location.origin}. ` +
        "Trying again is safe: a message is stored only once.";
      showProblem(place, { title: "The API can't be reached", text, action: tryAgain });
    } else {
      console.error(error);
      showProblem(place, { title: "The page failed", text: `${error.message} Reload it, and try again.` });
    }
  }

  /** Show the newest page, which says of its own span what there is and what no longer; what is older stays. */
  #show({ messages, next }) {
    const known = new Set(this.#shown.map((message) => message.id));
    const goesOn = messages.some((message) => known.has(message.id));
    const oldest = messages[0]?.created_at;
    const older = goesOn && next ? this.#shown.filter((message) => message.created_at < oldest) : [];
    if (older.length === 0) this.#next = next;
    this.#shown = merged(older, messages);
    this.#render();
  }

  /** Show the messages that the API has given, which it does for a good token only. */
  #render() {
    this.#isInDoubt = false;
    part("empty").textContent = EMPTY.none;
    part("earlier").hidden = !this.#next;
    showMessages(this.#shown, this.#session.person.subject, (message) => this.#delete(message));
  }

  #countBytes() {
    const bytes = bytesOf(part("message").value.trim());
    part("message-count").textContent =
      bytes > MESSAGE_LIMIT_BYTES * 0.8 ? `${bytes} of ${MESSAGE_LIMIT_BYTES} bytes.` : "";
  }
}

function signInAction() {
  return {
    label: "Sign in",
    run: () => (document.querySelector("#widget-container input:not([type=hidden])") ?? part("gate-title")).focus(),
  };
}

function isTokenRefused(error) {
  return error instanceof Refusal && error.status === 401;
}

function verdictOf({ status, code, message }) {
  return `${status}${code ? ` ${code}` : ""}: ${message}`;
}

/** Put two lists of messages together by id, those of the later list last and as it has them. */
function merged(earlier, later) {
  const all = new Map([...earlier, ...later].map((message) => [message.id, message]));
  return [...all.values()].sort((one, other) => compare(one.created_at, other.created_at));
}

function compare(one, other) {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function bytesOf(text) {
  return new TextEncoder().encode(text).length;
}

function isOff(button) {
  return button.getAttribute("aria-disabled") === "true";
}

function setOff(button, off) {
  if (off) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

function status(text, { isWaiting = false } = {}) {
  const place = part("status");
  place.classList.toggle("notice", isWaiting);
  // The same text again would be read aloud again.
  if (place.textContent !== text) place.textContent = text;
}

function clearStatusIf(text) {
  if (part("status").textContent === text) status("");
}

function gateStatus(text) {
  part("gate-status").textContent = text;
}

async function loadConfiguration() {
  const response = await fetch("/config.json", { cache: "no-cache" });
  if (!response.ok) throw new Error(`/config.json: ${response.status}`);
  return response.json();
}

try {
  await new Page(await loadConfiguration()).open();
} catch (error) {
  console.error(error);
  gateStatus("");
  showProblem(part("gate-problem"), {
    title: "The page can't start",
    text: `${error.message}. Reload it; if that does not help, see whether its server still runs.`,
    action: { label: "Reload", run: () => location.reload() },
  });
}

// The messages API as the page uses it: a cross-origin form POST with the token in the field `token`, which needs no
// preflight; and DELETE, which always needs one, with the token in the Authorization header. Nothing here touches the
// document.

const TIMEOUT_MS = 30_000; // API Gateway's own limit is 29 s
const PAUSE_MS = 400;
const PATIENCE_MS = 30_000; // a cloud that starts anew is there again within seconds
const WORTH_REPEATING = new Set([502, 503, 504]);

/**
 * The API answered, and refused. `code` and `message` are its own `error` and `error_description`; `checks` is what it
 * tells of its checks of the token, which it does on a testbed only.
 */
export class Refusal extends Error {
  constructor(response, { error, checks }, description) {
    super(description);
    this.status = response.status;
    this.code = error ?? response.statusText;
    this.checks = Array.isArray(checks) ? checks : [];
    this.retryAfterMs = retryAfterMs(response);
  }
}

/** Something answered, whatever its status, but nothing that the API ever says. */
export class StrangeAnswer extends Error {
  constructor(response) {
    super("The answer is not the API's JSON.");
    this.status = response.status;
    this.retryAfterMs = retryAfterMs(response);
  }
}

/** The API did not answer, or its answer was withheld from this page by the browser. */
export class NoAnswer extends Error {}

export class Messages {
  /**
   * @param {string} url where the API is
   * @param {(exchange: object) => void} onExchange is told of each request that a person made, with its answer
   * @param {(refusal: Error) => void} onWait is told each time that the API asked to be asked again later
   */
  constructor(url, onExchange, onWait) {
    this.url = url;
    this.onExchange = onExchange;
    this.onWait = onWait;
  }

  /** Ask for the newest messages, or for those before `cursor`. */
  list(token, { cursor, quietly = false } = {}) {
    const request = { fields: fieldsOf({ token, cursor }) };
    return quietly ? this.#send(request, quietly) : this.#sendUntilAnswered(request);
  }

  /** Post one message and get the list with it; `id` is the same whenever the same message is posted again. */
  post(token, text, id) {
    return this.#sendUntilAnswered({ fields: fieldsOf({ token, message: text, id }) });
  }

  /** Delete one of the person's own messages and get the list without it. */
  delete(token, id) {
    return this.#sendUntilAnswered({ method: "DELETE", url: `${this.url}?${fieldsOf({ id })}`, token });
  }

  /**
   * Ask once more when an answer is lost or strange, and as often as the API asks for that by Retry-After, within
   * limits. It is harmless: the API stores a message with the same id only once.
   */
  async #sendUntilAnswered(request) {
    const began = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#send(request);
      } catch (error) {
        const pauseMs = pauseAfter(error, attempt) + PAUSE_MS * Math.random();
        if (performance.now() - began + pauseMs > PATIENCE_MS) throw error;
        if (isAskedAgain(error)) this.onWait(error);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  async #send({ method = "POST", url = this.url, fields, token }, quietly = false) {
    const began = performance.now();
    const exchange = { method, url, fields: [...(fields ?? [])], token };
    try {
      const headers = token ? { Authorization: `Bearer ${token}` } : {};
      const { response, text } = await this.#fetch(url, { method, headers, body: fields });
      Object.assign(exchange, {
        status: response.status,
        reason: response.statusText,
        headers: [...response.headers],
        text,
      });
      return contentOf(response, text);
    } catch (error) {
      exchange.checks = error.checks;
      exchange.failure = exchange.status ? undefined : error.message;
      throw error;
    } finally {
      exchange.tookMs = Math.round(performance.now() - began);
      if (!quietly) this.onExchange(exchange);
    }
  }

  async #fetch(url, request) {
    try {
      const response = await fetch(url, {
        ...request,
        credentials: "omit",
        cache: "no-store",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return { response, text: await response.text() };
    } catch (error) {
      throw new NoAnswer(
        error.name === "TimeoutError"
          ? `No answer within ${TIMEOUT_MS / 1000} seconds.`
          : "No answer that the browser lets this page read.",
      );
    }
  }
}

function fieldsOf(values) {
  return new URLSearchParams(Object.entries(values).filter(([, value]) => value));
}

function contentOf(response, text) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    content = null;
  }
  if (response.ok && Array.isArray(content?.messages)) return content;
  // API Gateway's own refusals carry `message` instead.
  const description = content?.error_description ?? content?.message;
  if (response.ok || !description) throw new StrangeAnswer(response);
  throw new Refusal(response, content, description);
}

function isAskedAgain(error) {
  return error.status === 503 && error.retryAfterMs !== undefined;
}

/** How long to wait before asking again; endlessly if that is of no use. */
function pauseAfter(error, attempt) {
  if (isAskedAgain(error)) return error.retryAfterMs;
  const isWorthRepeating =
    error instanceof NoAnswer || error instanceof StrangeAnswer || WORTH_REPEATING.has(error.status);
  return isWorthRepeating && attempt === 1 ? PAUSE_MS : Number.POSITIVE_INFINITY;
}

/** Read Retry-After: seconds or a date (RFC 9110, section 10.2.3). */
function retryAfterMs(response) {
  const text = response.headers.get("Retry-After") ?? "";
  const pauseMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(pauseMs) ? undefined : Math.max(pauseMs, 0);
}

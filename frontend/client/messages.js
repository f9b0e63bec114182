// The messages API as the page uses it: a cross-origin form POST with the token in the field `token`, which needs no
// preflight; and DELETE, which always needs one, with the token in the Authorization header. Nothing here touches the
// document.

const TIMEOUT_MS = 30_000; // API Gateway's own limit is 29 s
const PAUSE_MS = 400;
const WORTH_REPEATING = new Set([502, 503, 504]);

/** The API answered, and refused. `code` and `message` are its own `error` and `error_description`. */
export class Refusal extends Error {
  constructor(status, code, description) {
    super(description);
    this.status = status;
    this.code = code;
  }
}

/** The API did not answer, or its answer was withheld from this page by the browser. */
export class NoAnswer extends Error {}

export class Messages {
  /**
   * @param {string} url where the API is
   * @param {(exchange: object) => void} onExchange is told of each request that a person made, with its answer
   */
  constructor(url, onExchange) {
    this.url = url;
    this.onExchange = onExchange;
  }

  /** Ask for the newest messages, or for those before `cursor`. */
  list(token, { cursor, quietly = false } = {}) {
    return this.#sendOnceOrTwice({ fields: fieldsOf({ token, cursor }) }, quietly);
  }

  /** Post one message and get the list with it; `id` is the same whenever the same message is posted again. */
  post(token, text, id) {
    return this.#sendOnceOrTwice({ fields: fieldsOf({ token, message: text, id }) });
  }

  /** Delete one of the person's own messages and get the list without it. */
  delete(token, id) {
    return this.#sendOnceOrTwice({ method: "DELETE", url: `${this.url}?${fieldsOf({ id })}`, token });
  }

  /** Ask once more when an answer is lost. That is harmless: the API stores a message with the same id only once. */
  async #sendOnceOrTwice(request, quietly = false) {
    try {
      return await this.#send(request, quietly);
    } catch (error) {
      if (!(error instanceof NoAnswer || WORTH_REPEATING.has(error.status))) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (1 + Math.random())));
      return this.#send(request, quietly);
    }
  }

  async #send({ method = "POST", url = this.url, fields, token }, quietly) {
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
  if (response.ok) throw new Refusal(response.status, "unexpected_answer", "The answer is not a list of messages.");
  // API Gateway's own refusals carry `message` instead.
  const description = content?.error_description ?? content?.message ?? "It gave no reason.";
  throw new Refusal(response.status, content?.error ?? response.statusText, description);
}

// Who is signed in, by Okta's Sign-In Widget and the auth-js library inside it, both as Okta ships them. Everything
// here works the same against any Okta organisation: there is no call that only the mock issuer understands.

const ENGINE_KEY = "gatehouse.engine";
const SIGNED_OUT_KEY = "gatehouse.signed-out";
const DISCOVERY_TIMEOUT_MS = 8_000;

/** Signing in can't go on; `title` says what happened, `message` why and what to do. */
export class SignInProblem extends Error {
  constructor(title, message) {
    super(message);
    this.title = title;
  }
}

/**
 * Choose the widget's engine: the address's `?engine=` if it has one, else what this tab chose before, else the
 * configured one. The choice is kept for the tab, because the issuer sends people back to the bare address.
 */
export function chooseEngine(configured) {
  const asked = new URLSearchParams(location.search).get("engine");
  if (asked === "identity" || asked === "classic") sessionStorage.setItem(ENGINE_KEY, asked);
  return sessionStorage.getItem(ENGINE_KEY) ?? configured;
}

export class Session {
  #config;
  #options;
  #client;
  #widget;
  /** Whether the sign-in that an earlier visit left could not be renewed. */
  hasEnded = false;

  constructor(config, engine, widgetFiles) {
    this.#config = config;
    const { issuer, clientId, redirectUri, scopes } = config;
    // Whoever writes a message when the widget is shown goes on writing; the classic engine's asks for the focus anyway.
    const features = { autoFocus: false };
    this.#options = { issuer, clientId, redirectUri, scopes, features, assets: { baseUrl: widgetFiles } };
    Object.assign(
      this.#options,
      engine === "classic" ? { useClassicEngine: true, baseUrl: new URL(issuer).origin } : { useClassicEngine: false },
    );
  }

  /**
   * Load what an earlier visit left, and finish a sign-in that went through a redirect.
   * @returns {Promise<boolean>} whether somebody is signed in
   */
  async resume() {
    if (typeof globalThis.OktaSignIn !== "function") {
      throw new SignInProblem(
        "The sign-in widget did not load",
        "Reload the page. If that does not help, prepare the widget's files again (python -m frontend.widget --force).",
      );
    }
    this.#widget = new globalThis.OktaSignIn(this.#options);
    this.#client = this.#widget.authClient;
    this.#dropForeignTokens();
    await this.#finishRedirect();
    const wasKept = this.isKept;
    const isSignedIn = (await this.token()) !== null;
    this.hasEnded = wasKept && !isSignedIn;
    return isSignedIn;
  }

  /** Tokens of another issuer or client, from when this page was set up otherwise, are nobody's sign-in here. */
  #dropForeignTokens() {
    const { accessToken } = this.#client.tokenManager.getTokensSync();
    const { iss, cid = this.#config.clientId } = accessToken?.claims ?? {};
    if (accessToken && (iss !== this.#config.issuer || cid !== this.#config.clientId))
      this.#client.tokenManager.clear();
  }

  async #finishRedirect() {
    const answer = new URLSearchParams(location.search);
    const failed = answer.get("error");
    if (!failed && !this.#client.isLoginRedirect()) return;
    try {
      // The widget goes on by itself with a sign-in that needs more from the person.
      if (!failed) await this.#client.storeTokensFromRedirect();
      else if (failed !== "interaction_required") {
        throw new SignInProblem("The issuer did not sign you in", answer.get("error_description") ?? failed);
      }
    } catch (error) {
      throw error instanceof SignInProblem ? error : problemOf(error, this.#config);
    } finally {
      history.replaceState(null, "", "/");
    }
  }

  /** Ask the issuer for its discovery document, so that its absence is told plainly and not by the widget. */
  async checkIssuer() {
    const { issuer } = this.#config;
    let discovery;
    try {
      const signal = AbortSignal.timeout(DISCOVERY_TIMEOUT_MS);
      const response = await fetch(`${issuer}/.well-known/openid-configuration`, { signal, cache: "no-store" });
      discovery = response.ok ? await response.json() : {};
    } catch {
      throw new SignInProblem(
        "The issuer does not answer",
        `Nobody can sign in until ${issuer} does. Start it, or set OKTA_ISSUER to the one that runs; and see that it ` +
          `trusts the origin ${location.origin}. Then try again.`,
      );
    }
    if (discovery.issuer !== issuer) {
      throw new SignInProblem(
        "This is another issuer",
        `${issuer} calls itself ${discovery.issuer ?? "nothing"}. Set OKTA_ISSUER to exactly the name that the issuer ` +
          "gives itself, then try again.",
      );
    }
  }

  /** Show the widget in `element` until somebody has signed in through it. */
  async signIn(element) {
    // The widget brings a main landmark; the page has one already.
    this.#widget.on("ready", () => document.getElementById("okta-sign-in")?.setAttribute("role", "group"));
    this.#widget.on("afterRender", () => focusUnlessBusy(element));
    try {
      const tokens = await this.#widget.showSignInToGetTokens({ el: element });
      this.#client.tokenManager.setTokens(tokens);
    } catch (error) {
      throw problemOf(error, this.#config);
    } finally {
      this.#widget.remove();
    }
  }

  /** Make ready for another sign-in after one that ended. */
  forget() {
    this.#client.tokenManager.clear();
    this.#widget = new globalThis.OktaSignIn(this.#options);
    this.#client = this.#widget.authClient;
  }

  /**
   * The access token, renewed if it is about to end.
   * @returns {Promise<string | null>} null when nobody is signed in, or the issuer renews the token no more
   */
  async token() {
    if (!this.isKept) return null;
    return this.#client.getOrRenewAccessToken();
  }

  /**
   * Have the access token renewed, however long it is still valid.
   * @returns {Promise<string | null>} null when the issuer does not renew it
   */
  async renew() {
    try {
      const { accessToken } = await this.#client.tokenManager.renew("accessToken");
      return accessToken;
    } catch (error) {
      console.error(error);
      return null;
    }
  }

  /** Whether a sign-in is kept, be its tokens still valid or not. */
  get isKept() {
    const { accessToken, refreshToken } = this.#client?.tokenManager.getTokensSync() ?? {};
    return Boolean(accessToken || refreshToken);
  }

  /** Who is signed in: name and login from the ID token, and the access token's claims. */
  get person() {
    const { idToken, accessToken } = this.#client.tokenManager.getTokensSync();
    const claims = accessToken?.claims ?? {};
    const login = idToken?.claims.preferred_username ?? claims.sub;
    return { name: idToken?.claims.name ?? login, login, subject: claims.sub, claims, until: accessToken?.expiresAt };
  }

  /** End the sign-in here and at the issuer, which sends the browser back to the page. */
  async signOut() {
    sessionStorage.setItem(SIGNED_OUT_KEY, "here and at the issuer");
    try {
      await this.#client.signOut({
        postLogoutRedirectUri: this.#config.redirectUri,
        clearTokensBeforeRedirect: true,
      });
    } catch {
      // The tokens could not be revoked; the browser forgets them all the same.
      sessionStorage.setItem(SIGNED_OUT_KEY, "here; the issuer did not answer, so your session there may go on");
      this.#client.tokenManager.clear();
      location.assign("/");
    }
  }

  /** Where somebody was just signed out, told once; null if nobody was. */
  static justSignedOut() {
    const where = sessionStorage.getItem(SIGNED_OUT_KEY);
    sessionStorage.removeItem(SIGNED_OUT_KEY);
    return where;
  }
}

/** Go to the first field in `element` that is still empty, unless the person is busy elsewhere on the page. */
function focusUnlessBusy(element) {
  const focused = document.activeElement ?? document.body;
  if (focused !== document.body && !element.contains(focused)) return;
  const fields = [...element.querySelectorAll("input:not([type=hidden], [type=checkbox])")];
  (fields.find((field) => !field.value) ?? fields[0])?.focus();
}

function problemOf(error, { clientId, redirectUri }) {
  return new SignInProblem(
    "Signing in failed",
    `${error.errorSummary ?? error.message ?? error} Try again; if it goes on, see that the issuer knows the client ` +
      `${clientId} with the redirect URI ${redirectUri}.`,
  );
}

// Who is signed in: authorization code with PKCE at Keycloak (RFC 6749, section 4.1; RFC 7636; RFC 9700).
//
// Tokens live in this page's memory alone. What outlives a reload is the session at Keycloak, which is asked again
// without a form.

const PENDING = "console.sign-in";
const SIGNED_IN = "console.signed-in";

/** The sign-in was refused, or the session at Keycloak is over. */
export class SignInError extends Error {}

export class Session {
  #config;
  #endpoints;
  #tokens = null;
  #renewing = null;

  constructor(config) {
    this.#config = config;
  }

  get isSignedIn() {
    return this.#tokens !== null;
  }

  get accessToken() {
    return this.#tokens.access_token;
  }

  /** Whether the token has less than half of its life before it. */
  get isHalfOver() {
    return Date.now() - this.#tokens.received > (this.#tokens.expires_in * 1000) / 2;
  }

  /** Milliseconds after which to renew: when a quarter of the token's life is left, at most a minute. */
  get renewAfter() {
    const life = this.#tokens.expires_in * 1000;
    return Math.max(this.#tokens.received + life - Math.min(life / 4, 60_000) - Date.now(), 0);
  }

  /** Whether this is the realm of development, whose users everybody knows. */
  async isDevelopment() {
    return (await this.#discover()).development_realm === true;
  }

  /** Takes up a sign-in that comes back to this page, or one that was here before a reload. */
  async resume() {
    const answer = new URLSearchParams(location.search);
    if (answer.has("state") && (answer.has("code") || answer.has("error"))) {
      history.replaceState(null, "", location.pathname);
      await this.#complete(answer);
    } else if (sessionStorage.getItem(SIGNED_IN)) {
      await this.signIn({ prompt: "none" });
    }
  }

  /** Leaves this page for Keycloak's form; never returns. */
  async signIn(options = {}) {
    if (!crypto.subtle) throw new SignInError("Signing in needs https, or localhost: this page has no cryptography.");
    const { authorization_endpoint: endpoint } = await this.#discover();
    const verifier = randomText();
    const state = randomText();
    sessionStorage.setItem(PENDING, JSON.stringify({ verifier, state }));
    location.assign(
      withQuery(endpoint, {
        response_type: "code",
        client_id: this.#config.clientId,
        redirect_uri: redirectUri(),
        scope: this.#config.scope,
        state,
        code_challenge: await challengeOf(verifier),
        code_challenge_method: "S256",
        ...options,
      }),
    );
    await new Promise(() => {});
  }

  /** Gets a new access token for the refresh token, once for all who ask at the same time. */
  renew() {
    this.#renewing ??= this.#redeem({ grant_type: "refresh_token", refresh_token: this.#tokens?.refresh_token ?? "" })
      .catch((error) => {
        if (error instanceof SignInError) this.forget();
        throw error;
      })
      .finally(() => {
        this.#renewing = null;
      });
    return this.#renewing;
  }

  /** Ends the session at Keycloak too; never returns. */
  async signOut() {
    const { end_session_endpoint: endpoint } = await this.#discover();
    const hint = this.#tokens?.id_token;
    this.forget();
    location.assign(
      withQuery(endpoint, {
        client_id: this.#config.clientId,
        post_logout_redirect_uri: redirectUri(),
        ...(hint ? { id_token_hint: hint } : {}),
      }),
    );
    await new Promise(() => {});
  }

  /** Drops the tokens. */
  forget() {
    this.#tokens = null;
    sessionStorage.removeItem(SIGNED_IN);
  }

  async #complete(answer) {
    const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "{}");
    sessionStorage.removeItem(PENDING);
    sessionStorage.removeItem(SIGNED_IN);
    if (!pending.state || answer.get("state") !== pending.state) {
      throw new SignInError("This answer belongs to another sign-in. Try again.");
    }
    const { issuer } = await this.#discover();
    // RFC 9207: an answer of another server must not get our code.
    if (answer.has("iss") && answer.get("iss") !== issuer) throw new SignInError("Another server answered.");
    if (answer.get("error") === "login_required") return;
    if (answer.has("error")) throw new SignInError(answer.get("error_description") ?? answer.get("error"));
    await this.#redeem({
      grant_type: "authorization_code",
      code: answer.get("code"),
      redirect_uri: redirectUri(),
      code_verifier: pending.verifier,
    });
  }

  async #redeem(grant) {
    const { token_endpoint: endpoint } = await this.#discover();
    const received = Date.now();
    const response = await fetch(endpoint, {
      method: "POST",
      body: new URLSearchParams({ client_id: this.#config.clientId, ...grant }),
    });
    const body = await response.json();
    if (response.status >= 500) throw new Error(`Keycloak answered ${response.status}`);
    if (!response.ok) throw new SignInError(body.error_description ?? body.error ?? "Keycloak refused.");
    this.#tokens = { ...body, received };
    sessionStorage.setItem(SIGNED_IN, "yes");
  }

  async #discover() {
    if (!this.#endpoints) {
      let response;
      try {
        response = await fetch(this.#config.discoveryUrl);
      } catch {
        throw new Error(`Keycloak does not answer: ${this.#config.discoveryUrl}`);
      }
      if (!response.ok) throw new Error(`Keycloak answered ${response.status}`);
      this.#endpoints = await response.json();
    }
    return this.#endpoints;
  }
}

function redirectUri() {
  return location.origin + location.pathname;
}

function withQuery(endpoint, query) {
  const url = new URL(endpoint);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url.href;
}

function randomText() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function challengeOf(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

// auth-js alone, as the widget bundles it: the redirect flow, renewal, userinfo, revocation, sign-out.
"use strict";

const query = new URLSearchParams(sessionStorage.getItem("query") ?? location.search);
sessionStorage.setItem("query", query.toString());
const org = query.get("org");
const issuer = `${org}/oauth2/default`;
const pkce = query.get("engine") !== "implicit";
const configuration = {
  issuer,
  clientId: query.get("client"),
  redirectUri: location.origin + location.pathname,
};
// The widget bundles auth-js 7; alone, it is auth-js 8.
const flow = { pkce, ...(pkce ? {} : { responseType: ["token", "id_token"] }) };
const authClient = window.OktaSignIn
  ? new OktaSignIn({ ...configuration, useClassicEngine: true, baseUrl: org, authParams: flow }).authClient
  : new OktaAuth({ ...configuration, ...flow });
const scopes = ["openid", "profile", "email", ...(pkce ? ["offline_access"] : [])];

function show(id, value) {
  document.getElementById(id).textContent = JSON.stringify(value);
}

function on(id, action) {
  document.getElementById(id).addEventListener("click", () => {
    action().then(
      (value) => show("result", value),
      (error) => show("problem", { message: error.message }),
    );
  });
}

async function summary() {
  const tokens = await authClient.tokenManager.getTokens();
  return {
    accessToken: tokens.accessToken?.accessToken ?? null,
    refreshToken: tokens.refreshToken?.refreshToken ?? null,
    name: tokens.idToken?.claims.name ?? null,
  };
}

on("sign-in", () => authClient.signInWithRedirect({ scopes }));
on("renew", async () => {
  await authClient.tokenManager.renew("accessToken");
  return summary();
});
on("silent", async () => {
  const { tokens } = await authClient.token.getWithoutPrompt({ scopes: ["openid", "profile", "email"] });
  return { accessToken: tokens.accessToken.accessToken, name: tokens.idToken.claims.name };
});
on("user", () => authClient.getUser());
on("revoke", async () => {
  await authClient.revokeAccessToken();
  return { revoked: true };
});
on("sign-out", () => authClient.signOut({ postLogoutRedirectUri: location.origin + location.pathname }));

if (authClient.isLoginRedirect()) {
  authClient.token
    .parseFromUrl()
    .then(({ tokens }) => {
      authClient.tokenManager.setTokens(tokens);
      return summary();
    })
    .then((value) => show("result", value))
    .catch((error) => show("problem", { message: error.message }));
}

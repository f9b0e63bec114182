// The unmodified widget in one of its configurations, chosen by the query: engine=identity|classic|implicit.
"use strict";

const query = new URLSearchParams(location.search);
const org = query.get("org");
const issuer = `${org}/oauth2/default`;
const scopes = ["openid", "profile", "email", "offline_access"];
const shared = { clientId: query.get("client"), redirectUri: `${location.origin}/` };
const configurations = {
  identity: { issuer, ...shared, scopes },
  classic: { useClassicEngine: true, baseUrl: org, issuer, ...shared, scopes },
  implicit: {
    useClassicEngine: true,
    baseUrl: org,
    ...shared,
    authParams: { issuer, pkce: false, responseType: ["token", "id_token"], scopes },
  },
};

const signIn = new OktaSignIn(configurations[query.get("engine")]);

function show(id, value) {
  document.getElementById(id).textContent = JSON.stringify(value);
}

signIn.showSignInToGetTokens({ el: "#widget-container" }).then(
  (tokens) => {
    signIn.hide();
    signIn.authClient.tokenManager.setTokens(tokens);
    show("result", {
      accessToken: tokens.accessToken.accessToken,
      refreshToken: tokens.refreshToken?.refreshToken ?? null,
      name: tokens.idToken.claims.name,
    });
  },
  (error) => show("problem", { message: error.message }),
);

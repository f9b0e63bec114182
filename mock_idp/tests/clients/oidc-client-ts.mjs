// oidc-client-ts: a single-page app's sign-in, refresh and sign-out.
import { InMemoryWebStorage, OidcClient, WebStorageStateStore } from "oidc-client-ts";
import { expect, issuer, redirectUri, signIn } from "./walk.mjs";

const client = new OidcClient({
  authority: issuer,
  client_id: "demo-spa",
  redirect_uri: redirectUri,
  post_logout_redirect_uri: redirectUri,
  scope: "openid profile email offline_access",
  loadUserInfo: true,
  stateStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
});

const request = await client.createSigninRequest({});
const response = await client.processSigninResponse((await signIn(request.url)).href);
expect(response.profile.name === "Alice Archer", "signed in");
const renewed = await client.useRefreshToken({
  state: { refresh_token: response.refresh_token, session_state: null, scope: response.scope, profile: response.profile },
});
expect(renewed.access_token !== response.access_token, "renewed");
await client.revokeToken(renewed.refresh_token, "refresh_token");
const leaving = await client.createSignoutRequest({ id_token_hint: response.id_token, state: "x" });
const left = await fetch(leaving.url, { redirect: "manual" });
const back = await client.processSignoutResponse(left.headers.get("location"));
expect(back.userState === "x", "signed out");

// openid-client: discovery, PAR, code flow with PKCE, refresh, userinfo, introspection, revocation, logout, registration.
import * as client from "openid-client";
import { expect, issuer, redirectUri, signIn } from "./walk.mjs";

const insecure = { execute: [client.allowInsecureRequests] };
const url = new URL(issuer);

const config = await client.discovery(url, "demo-client", "demo-secret", client.ClientSecretBasic("demo-secret"), insecure);
for (const pushed of [false, true]) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const parameters = {
    redirect_uri: redirectUri,
    scope: "openid profile email offline_access",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
    max_age: "600",
  };
  const authorizationUrl = pushed
    ? await client.buildAuthorizationUrlWithPAR(config, parameters)
    : client.buildAuthorizationUrl(config, parameters);
  const tokens = await client.authorizationCodeGrant(config, await signIn(authorizationUrl), {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    maxAge: 600,
  });
  const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  expect(person.name === "Alice Archer", "userinfo");
  const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
  expect(renewed.refresh_token !== tokens.refresh_token, "the refresh token rotates");
  expect((await client.tokenIntrospection(config, renewed.access_token)).active, "active before revocation");
  await client.tokenRevocation(config, renewed.refresh_token);
  expect(!(await client.tokenIntrospection(config, renewed.access_token)).active, "inactive after revocation");
  const logout = client.buildEndSessionUrl(config, {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: redirectUri,
    state: "bye",
  });
  const left = await fetch(logout, { redirect: "manual" });
  expect(left.headers.get("location") === `${redirectUri}?state=bye`, "logout returns with its state");
}

const own = await client.clientCredentialsGrant(config, { scope: "messages.read" });
expect(own.scope === "messages.read", "client credentials");

const wrong = await client.discovery(url, "demo-client", "wrong", client.ClientSecretPost("wrong"), insecure);
const refused = await client.clientCredentialsGrant(wrong, {}).catch((error) => error);
expect(refused.error === "invalid_client", "a wrong secret is refused");

const device = await client.discovery(url, "demo-spa", undefined, client.None(), insecure);
const started = await client.initiateDeviceAuthorization(device, { scope: "openid profile" });
const form = new URLSearchParams({ user_code: started.user_code, persona: "bob@example.com" });
await fetch(started.verification_uri, { method: "POST", body: form });
const onDevice = await client.pollDeviceAuthorizationGrant(device, { ...started, interval: 1 });
expect(onDevice.claims().preferred_username === "bob@example.com", "device flow");

const registered = await client.dynamicClientRegistration(
  url,
  { redirect_uris: [redirectUri], client_name: "Registered" },
  undefined,
  insecure,
);
expect(registered.clientMetadata().client_id, "registration");

const implicit = await client.discovery(url, "demo-spa", undefined, client.None(), insecure);
client.useIdTokenResponseType(implicit);
const nonce = client.randomNonce();
const answer = await signIn(client.buildAuthorizationUrl(implicit, { redirect_uri: redirectUri, scope: "openid", nonce }));
const claims = await client.implicitAuthentication(implicit, answer, nonce);
expect(claims.sub, "implicit");

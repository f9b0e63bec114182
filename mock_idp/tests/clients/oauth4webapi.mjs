// oauth4webapi: the strictest checks of answers, hybrid c_hash, and its RFC 9068 check of access tokens.
import * as oauth from "oauth4webapi";
import { expect, issuer, mint, redirectUri, signIn } from "./walk.mjs";

const insecure = { [oauth.allowInsecureRequests]: true };
const issuerUrl = new URL(issuer);

for (const algorithm of ["oidc", "oauth2"]) {
  await oauth
    .discoveryRequest(issuerUrl, { algorithm, ...insecure })
    .then((response) => oauth.processDiscoveryResponse(issuerUrl, response));
}
const as = await oauth
  .discoveryRequest(issuerUrl, insecure)
  .then((response) => oauth.processDiscoveryResponse(issuerUrl, response));

const client = { client_id: "demo-client" };
const authentication = oauth.ClientSecretBasic("demo-secret");

async function authorize(parameters) {
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({ client_id: client.client_id, redirect_uri: redirectUri, ...parameters });
  return signIn(url);
}

const verifier = oauth.generateRandomCodeVerifier();
const challenge = await oauth.calculatePKCECodeChallenge(verifier);
const nonce = oauth.generateRandomNonce();
const pkce = { code_challenge: challenge, code_challenge_method: "S256" };

const back = await authorize({ response_type: "code", scope: "openid email", state: "s", nonce, ...pkce });
const code = oauth.validateAuthResponse(as, client, back, "s");
const exchanged = await oauth.authorizationCodeGrantRequest(as, client, authentication, code, redirectUri, verifier, insecure);
const tokens = await oauth.processAuthorizationCodeResponse(as, client, exchanged, { expectedNonce: nonce, requireIdToken: true });
await oauth.validateApplicationLevelSignature(as, exchanged, insecure);
const info = await oauth.userInfoRequest(as, client, tokens.access_token, insecure);
await oauth.processUserInfoResponse(as, client, oauth.getValidatedIdTokenClaims(tokens).sub, info);

const hybrid = await authorize({ response_type: "code id_token", scope: "openid", state: "h", nonce, ...pkce });
const checked = await oauth.validateCodeIdTokenResponse(as, client, hybrid, nonce, "h", undefined, insecure);
expect(checked.get("code"), "hybrid answer with c_hash");

function api(token) {
  const request = new Request("http://localhost:5555/api", { headers: { authorization: `Bearer ${token}` } });
  return oauth.validateJwtAccessToken(as, request, "api://default", insecure);
}

expect((await api(tokens.access_token)).client_id === "demo-client", "an RFC 9068 checker accepts the access token");
for (const fault of ["expired", "tampered_payload", "alg_none", "wrong_issuer", "wrong_audience", "wrong_typ", "unknown_kid", "hs256_public_key", "critical_header", "forged_key"]) {
  const refused = await api(await mint(issuer, { fault })).then(
    () => false,
    () => true,
  );
  expect(refused, `${fault} is refused`);
}

// @okta/jwt-verifier: accepts the good access and ID token, refuses the hostile ones; over https it needs no exemption.
import OktaJwtVerifier from "@okta/jwt-verifier";
import { expect, issuer, mint } from "./walk.mjs";

const testing = issuer.startsWith("https:") ? {} : { testing: { disableHttpsCheck: true } };
const verifier = new OktaJwtVerifier({ issuer, assertClaims: { cid: "0oatestbed" }, ...testing });

const { claims } = await verifier.verifyAccessToken(await mint(issuer, {}), "api://default");
expect(claims.sub === "alice@example.com", "the good token is accepted");
const idToken = await mint(issuer, { kind: "id_token", nonce: "n" });
await new OktaJwtVerifier({ issuer, clientId: "0oatestbed", ...testing }).verifyIdToken(idToken, "0oatestbed", "n");

// It does not look at typ, crit or nbf's presence, and its length limit is its own.
for (const fault of ["expired", "not_yet_valid", "tampered_signature", "tampered_payload", "alg_none", "hs256_public_key", "forged_key", "wrong_issuer", "wrong_audience", "wrong_client", "unknown_kid", "embedded_key", "id_token"]) {
  const refused = await verifier.verifyAccessToken(await mint(issuer, { fault }), "api://default").then(
    () => false,
    () => true,
  );
  expect(refused, `${fault} is refused`);
}

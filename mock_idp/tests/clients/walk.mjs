// What a person's browser does between a client's two halves of a flow: sign in with one click on a persona.

export async function signIn(authorizationUrl, persona = "alice@example.com") {
  const page = await fetch(authorizationUrl, { redirect: "manual" });
  if (page.status !== 302) throw new Error(`authorize answered ${page.status}: ${(await page.text()).slice(0, 400)}`);
  const signin = new URL(page.headers.get("location"), authorizationUrl);
  if (!signin.pathname.endsWith("/signin")) return signin;
  const form = new URLSearchParams({ flow: signin.searchParams.get("flow"), persona });
  const answer = await fetch(signin, { method: "POST", body: form, redirect: "manual" });
  if (answer.status !== 302) throw new Error(`signin answered ${answer.status}`);
  return new URL(answer.headers.get("location"), authorizationUrl);
}

export async function mint(issuer, order) {
  const control = issuer.replace(/\/oauth2\/.*/, "/mock/tokens");
  const answer = await fetch(control, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(order),
  });
  return (await answer.json()).token;
}

export function expect(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

export const redirectUri = "http://localhost:5555/callback";
export const issuer = process.argv[2];

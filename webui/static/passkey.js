// Signing in by a passkey, and making one. Browsers can do neither without a script.
"use strict";

const octets = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function ask(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  return said;
}

async function signIn(next) {
  const { publicKey } = await ask("/passkey/signin/begin");
  publicKey.challenge = octets(publicKey.challenge);
  for (const c of publicKey.allowCredentials ?? []) c.id = octets(c.id);
  const got = await navigator.credentials.get({ publicKey });
  const said = await ask("/passkey/signin/finish?next=" + encodeURIComponent(next), {
    id: got.id, rawId: text(got.rawId), type: got.type,
    response: {
      authenticatorData: text(got.response.authenticatorData), clientDataJSON: text(got.response.clientDataJSON),
      signature: text(got.response.signature), userHandle: got.response.userHandle ? text(got.response.userHandle) : undefined,
    },
  });
  location.assign(said.next);
}

async function make(name) {
  const { publicKey } = await ask("/passkey/new/begin");
  publicKey.challenge = octets(publicKey.challenge);
  publicKey.user.id = octets(publicKey.user.id);
  for (const c of publicKey.excludeCredentials ?? []) c.id = octets(c.id);
  const made = await navigator.credentials.create({ publicKey });
  await ask("/passkey/new/finish?name=" + encodeURIComponent(name), {
    id: made.id, rawId: text(made.rawId), type: made.type,
    response: { attestationObject: text(made.response.attestationObject), clientDataJSON: text(made.response.clientDataJSON) },
  });
  location.reload();
}

for (const button of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const problem = document.getElementById("passkey-problem");
    problem.textContent = "";
    try {
      if (button.dataset.passkey === "signin") await signIn(button.dataset.next);
      else await make(document.getElementById("passkey-name").value);
    } catch (e) {
      problem.textContent = e.name === "NotAllowedError" ? "The browser was not allowed to use a passkey, or it took too long." : e.message;
    }
  });
}

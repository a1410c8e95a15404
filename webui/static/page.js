// What pages do beyond what they can without this file. Nothing depends on it.
"use strict";

// Make what stands on the page like what the box sends, and leave alone what is
// the same: somebody may be reading it, have opened it or be about to press it.
function renew(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  renewChildren(old, fresh);
}

function renewChildren(old, fresh) {
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  before.slice(after.length).forEach((node) => node.remove());
  after.forEach((node, i) => (before[i] ? renew(before[i], node) : old.append(node)));
}

// Parts that are filled again when the box says so.
for (const part of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(part.dataset.live);
  source.onmessage = (e) => {
    const below = part.scrollHeight - part.scrollTop - part.clientHeight < 40;
    if (part.dataset.append !== undefined) {
      part.append(e.data + "\n");
      while (part.childNodes.length > 2000) part.firstChild.remove();
    } else {
      const fresh = document.createElement("template");
      fresh.innerHTML = e.data;
      renewChildren(part, fresh.content);
    }
    if (below) part.scrollTop = part.scrollHeight;
  };
  addEventListener("pagehide", () => source.close());
}

// How long there is to keep a change.
for (const clock of document.querySelectorAll("[data-left]")) {
  const end = Date.now() + Number(clock.dataset.left) * 1000;
  const tick = setInterval(() => {
    const left = Math.max(0, Math.round((end - Date.now()) / 1000));
    clock.textContent = left + " s";
    if (left === 0) {
      clearInterval(tick);
      setTimeout(() => location.reload(), 1500);
    }
  }, 1000);
}

// A box that starts anew: as soon as another run of it answers, the page leads on.
for (const wait of document.querySelectorAll("[data-wait]")) {
  const look = async () => {
    try {
      const answer = await fetch(wait.dataset.wait, { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(5000) });
      if (answer.type === "opaqueredirect" || (answer.ok && (await answer.text()) !== wait.dataset.run)) return location.assign(wait.dataset.then);
    } catch {}
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
}

// A form is sent once.
addEventListener("submit", (e) => {
  if (e.defaultPrevented) return;
  if (e.target.dataset.sent) e.preventDefault();
  e.target.dataset.sent = "yes";
});
addEventListener("pageshow", (e) => {
  if (e.persisted) for (const f of document.forms) delete f.dataset.sent;
});

// Copying a secret.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    button.textContent = "Copied";
  });
}

// What is wrong with a form is said first, and leads to the fields.
const wrong = document.getElementById("wrong");
for (const list of wrong?.querySelectorAll("ul") ?? []) {
  const place = (item) => document.getElementById(item.firstChild.hash.slice(1));
  list.append(...[...list.children].sort((a, b) => (place(a)?.compareDocumentPosition(place(b)) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1)));
}
wrong?.focus();
wrong?.addEventListener("click", (e) => {
  const id = e.target.closest("a")?.hash.slice(1);
  const field = id && document.querySelector(`[aria-describedby~="${CSS.escape(id)}"]`);
  if (!field) return;
  e.preventDefault();
  field.closest("details")?.setAttribute("open", "");
  const go = () => {
    field.focus();
    field.select?.();
  };
  if (e.detail) return go();
  // The Enter that followed the link must not send the form as well.
  addEventListener("keyup", go, { once: true });
  setTimeout(go, 300);
});

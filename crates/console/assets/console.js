// Shortens waiting and typing; every page does its work without it. Nothing here stores anything.
"use strict";

// Buttons that only a script can do anything with are in the page as hidden.
for (const button of document.querySelectorAll("[data-copy], [data-print]")) button.hidden = false;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-print]");
  if (!button) return;
  if (button.hasAttribute("data-print")) return window.print();
  // data-copy: id of what holds the text; data-done: what to say afterwards.
  const from = document.getElementById(button.dataset.copy);
  const text = from.value ?? from.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No permission, or no TLS: selected, so that one key copies it.
    from.focus();
    from.select?.();
    return;
  }
  if (button.dataset.done) button.textContent = button.dataset.done;
});

// A second press on the way changes nothing at the server; this spares the person the doubt.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  // What the form brings may be a file, and then the page stays.
  setTimeout(() => delete form.dataset.sent, 4000);
});
// The back button shows the page as it was: it may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// What is wrong in a form is where reading begins.
document.querySelector(".error-summary")?.focus();

// data-refresh: path of a fragment that replaces the element's content, every data-every seconds, until the answer has no
// header "x-refresh: more" or is no success; then the whole page is loaded once, as a link would.
for (const part of document.querySelectorAll("[data-refresh]")) {
  const every = Math.max(1, Number(part.dataset.every) || 2) * 1000;
  const again = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(part.dataset.refresh, { headers: { accept: "text/html" }, redirect: "error" });
        if (!answer.ok) return;
        const text = await answer.text();
        if (text !== part.innerHTML) part.innerHTML = text;
        if (answer.headers.get("x-refresh") !== "more") return location.reload();
      } catch {
        // Away for a moment: the next turn tries again.
      }
    }
    setTimeout(again, every);
  };
  setTimeout(again, every);
}

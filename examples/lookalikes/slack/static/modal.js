// The modal on top of the screen: shown with what was filled in already, sent, and closed.
"use strict";

import { blocks, filled } from "/blocks.js";
import { element, plain } from "/mrkdwn.js";
import { act, at, state } from "/screen.js";
import { named, surface } from "/surface.js";

function closeModal() {
  act("close", {});
}

export function showModal() {
  const dialog = at("modal");
  const view = state.screen.modal;
  const key = view ? JSON.stringify([view.id, view.hash, view.errors]) : "";
  if (key === state.modal) return;
  const values = view && state.modal && JSON.parse(state.modal)[0] === view.id ? filled(dialog) : {};
  state.modal = key;
  if (!view) { dialog.close(); return; }
  const form = element("form", { novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    for (const one of form.querySelectorAll("button")) one.disabled = true;
    act("submit", { view_id: view.id, values: filled(form) }).then(() => { for (const one of form.querySelectorAll("button")) one.disabled = false; });
  } });
  const there = surface("press_in_view", { where: { view_id: view.id }, errors: view.errors }, () => form);
  form.append(
    element("h2", { id: "modal-title" }, plain(view.title)),
    element("div", { class: "inside" }, ...blocks(view.blocks, { ...there, isInput: false }, "view")),
    element("div", { class: "actions" },
      element("button", { type: "button", onclick: closeModal }, view.close ? plain(view.close) : "Cancel"),
      view.submit ? element("button", { class: "primary" }, plain(view.submit)) : null));
  dialog.replaceChildren(form);
  for (const [name, value] of Object.entries(values)) {
    const field = form.elements.namedItem(name);
    if (field && field.type !== "checkbox") field.value = value;
  }
  dialog.oncancel = (event) => { event.preventDefault(); closeModal(); };
  named(dialog, "modal-title");
  if (!dialog.open) dialog.showModal();
  (form.querySelector("[aria-invalid]") || form.querySelector("input, textarea, select") || form.querySelector("button")).focus();
}

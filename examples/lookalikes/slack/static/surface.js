// Where blocks stand and how a press there is told; the dialogs that ask once more before it.
"use strict";

import { filled } from "/blocks.js";
import { element, plain, words } from "/mrkdwn.js";
import { act, at, names, state } from "/screen.js";

// A closed dialog is empty, and what is not there cannot name it.
export function named(dialog, title, text) {
  dialog.setAttribute("aria-labelledby", title);
  if (text) dialog.setAttribute("aria-describedby", text);
  dialog.onclose = () => {
    if (dialog.open) return; // told late: it has been opened anew since
    dialog.replaceChildren();
    dialog.removeAttribute("aria-labelledby");
    dialog.removeAttribute("aria-describedby");
  };
}

function confirmed(one) {
  if (!one.confirm) return Promise.resolve(true);
  const dialog = at("confirm");
  const { title, text, confirm, deny, style } = one.confirm;
  return new Promise((resolve) => {
    const answer = (yes) => () => { dialog.close(); resolve(yes); };
    dialog.replaceChildren(
      element("h2", { id: "confirm-title" }, plain(title)),
      element("p", { id: "confirm-text" }, ...words(text, names())),
      element("div", { class: "actions" },
        element("button", { type: "button", onclick: answer(false) }, plain(deny)),
        element("button", { type: "button", class: style || "primary", onclick: answer(true) }, plain(confirm))));
    dialog.oncancel = answer(false);
    named(dialog, "confirm-title", "confirm-text");
    dialog.showModal();
  });
}

// A surface is where blocks stand: a message, the modal, App Home. It knows how a press there is told.
export function surface(name, body, root) {
  return {
    names: names(), people: state.screen.people.filter((person) => !person.is_bot), errors: body.errors,
    press: async (one, value, control) => {
      if (!(await confirmed(one))) return;
      control.disabled = true;
      control.setAttribute("aria-busy", "true");
      await act(name, { ...body.where, action_id: one.action_id, value, values: filled(root()) });
      control.disabled = false;
      control.removeAttribute("aria-busy");
    },
  };
}

// Block Kit in, DOM nodes out. `press(action_id, value)` is called where a person acts; filled fields stay in the form.
"use strict";

import { element, outside, plain, words } from "/mrkdwn.js";

const LONG = 700; // characters after which Slack folds a section away

function button(one, surface) {
  const press = (event) => {
    event.preventDefault();
    if (one.url) window.open(one.url, "_blank", "noopener,noreferrer");
    surface.press(one, null, event.currentTarget);
  };
  return element(
    "button",
    { type: "button", class: one.style || "", "data-action": one.action_id, "aria-label": one.accessibility_label, onclick: press },
    plain(one.text),
    one.url ? element("span", { "aria-hidden": "true" }, " ↗") : null,
  );
}

function options(one) {
  const groups = one.option_groups || [{ options: one.options || [] }];
  return groups.flatMap((group) => group.options);
}

function select(one, surface, name) {
  const first = element("option", { value: "" }, one.placeholder ? plain(one.placeholder) : "Choose …");
  const people = one.type === "users_select" ? surface.people : null;
  const offered = people ? people.map((person) => [person.id, person.real_name]) : options(one).map((o) => [o.value, plain(o.text)]);
  const initial = one.initial_user || one.initial_option?.value;
  const all = offered.map(([value, label]) => element("option", { value, selected: value === initial }, label));
  const change = surface.isInput ? undefined : (event) => surface.press(one, event.currentTarget.value, event.currentTarget);
  return element("select", { id: name, name: one.action_id, "data-action": one.action_id, onchange: change }, first, ...all);
}

function choices(one, surface, name, kind) {
  const initial = new Set([one.initial_option, ...(one.initial_options || [])].filter(Boolean).map((o) => o.value));
  const change = surface.isInput ? undefined : (event) => surface.press(one, event.currentTarget.value, event.currentTarget);
  return element("div", { class: "choices", role: kind === "radio" ? "radiogroup" : "group", "data-action": one.action_id }, ...options(one).map((o, n) =>
    element("label", {},
      element("input", { type: kind, id: n ? undefined : name, name: one.action_id, value: o.value, checked: initial.has(o.value), onchange: change }),
      element("span", {}, ...words(o.text, surface.names), o.description ? element("small", {}, ...words(o.description, surface.names)) : null))));
}

function typed(one, name) {
  const shared = {
    id: name, name: one.action_id, "data-action": one.action_id, placeholder: one.placeholder ? plain(one.placeholder) : undefined,
    maxlength: one.max_length || 3000, "aria-describedby": `${name}-said`,
  };
  if (one.multiline) return element("textarea", { ...shared, rows: 4 }, one.initial_value || "");
  return element("input", { ...shared, type: "text", inputmode: one.type === "number_input" ? "decimal" : undefined, value: one.initial_value });
}

function interactive(one, surface, name) {
  switch (one.type) {
    case "button": return button(one, surface);
    case "static_select": case "users_select": case "overflow": return select(one, surface, name);
    case "radio_buttons": return choices(one, surface, name, "radio");
    case "checkboxes": return choices(one, surface, name, "checkbox");
    case "plain_text_input": case "number_input": return typed(one, name);
    case "image": return element("span", { class: "image" }, `[${one.alt_text}]`);
    default: return element("span", {}, `[${one.type}]`);
  }
}

function folded(nodes, text, expand) {
  const whole = element("div", { class: "text" }, ...nodes);
  if (expand || text.length <= LONG) return whole;
  whole.classList.add("folded");
  const more = element("button", { type: "button", class: "more", "aria-expanded": "false", onclick: (event) => {
    const open = !whole.classList.toggle("folded");
    event.currentTarget.setAttribute("aria-expanded", String(open));
    event.currentTarget.textContent = open ? "See less" : "See more";
  } }, "See more");
  return element("div", {}, whole, more);
}

function section(block, surface, name) {
  return element("div", { class: "block section" },
    element("div", { class: "body" },
      block.text ? folded(words(block.text, surface.names), block.text.text, block.expand) : null,
      block.fields ? element("div", { class: "fields" }, ...block.fields.map((field) => element("div", {}, ...words(field, surface.names)))) : null),
    block.accessory ? element("div", { class: "accessory" }, interactive(block.accessory, surface, `${name}-accessory`)) : null);
}

function input(block, surface, name) {
  const said = surface.errors?.[block.block_id];
  const inside = { ...surface, isInput: !block.dispatch_action };
  const grouped = ["radio_buttons", "checkboxes"].includes(block.element.type);
  const label = element(grouped ? "p" : "label", { class: "label", for: grouped ? undefined : name },
    plain(block.label), block.optional ? element("span", { class: "quiet" }, " (optional)") : null);
  const field = interactive(block.element, inside, name);
  if (said) field.setAttribute("aria-invalid", "true");
  return element("div", { class: said ? "block input wrong" : "block input" }, label, field,
    block.hint ? element("p", { class: "hint" }, plain(block.hint)) : null,
    element("p", { class: "said", id: `${name}-said`, role: "alert" }, said || ""));
}

function one(block, surface, name) {
  switch (block.type) {
    case "header": return element("h2", { class: "block" }, plain(block.text));
    case "divider": return element("hr", { class: "block" });
    case "section": return section(block, surface, name);
    case "context": return element("div", { class: "block context" }, ...block.elements.map((part) =>
      part.type === "image" ? element("span", { class: "image" }, `[${part.alt_text}]`) : element("span", {}, ...words(part, surface.names))));
    case "actions": return element("div", { class: "block actions" }, ...block.elements.map((part, n) => interactive(part, surface, `${name}-${n}`)));
    case "input": return input(block, surface, name);
    case "image": return element("p", { class: "block" }, block.image_url ? outside(block.image_url, `🖼 ${block.alt_text}`) : block.alt_text);
    default: return element("p", { class: "block quiet" }, `[${block.type}]`);
  }
}

export function blocks(list, surface, prefix) {
  return list.map((block) => one(block, surface, `${prefix}-${block.block_id}`));
}

// What a person filled in, by action id, as the server wants it.
export function filled(root) {
  const values = {};
  for (const field of root.querySelectorAll("input[name], textarea[name], select[name]")) {
    if (field.type === "checkbox") values[field.name] = [values[field.name], field.checked ? field.value : ""].filter(Boolean).join(",");
    else if (field.type !== "radio") values[field.name] = field.value;
    else if (field.checked) values[field.name] = field.value;
  }
  return values;
}

// One person's Slack: asks the server what is on their screen, shows it, and tells it what they do.
"use strict";

import { blocks, filled } from "/blocks.js";
import { element, mrkdwn, plain, words } from "/mrkdwn.js";

const EVERY = 700; // milliseconds between two looks
const at = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const permalink = /^\/archives\/(\w+)\/p(\d+)(\d{6})$/.exec(location.pathname);
const state = {
  user: query.get("user") || "", place: permalink ? permalink[1] : query.get("place") || "", screen: null,
  shown: new Map(), seen: new Map(), modal: "", wanted: permalink ? `${permalink[2]}.${permalink[3]}` : "",
};

async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const answer = await fetch(path, options);
  return answer.json();
}

let hushed = 0;
function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = false;
  clearTimeout(hushed);
  hushed = setTimeout(() => { at("notice").hidden = true; }, 6000);
}

async function act(name, body) {
  try {
    const told = await ask(`/_/${name}`, { user: state.user, ...body });
    if (told.error) notice(told.error);
    else if (told.taken === false) notice(told.status ? `The app answered with an error (${told.status}).` : "The app did not answer in time. Try again.");
    return told;
  } catch {
    notice("The look-alike does not answer.");
    return { error: "lost" };
  } finally {
    await look();
  }
}

// A closed dialog is empty, and what is not there cannot name it.
function named(dialog, title, text) {
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

function names() {
  const known = {};
  for (const person of state.screen?.people || []) known[person.id] = person.real_name;
  for (const channel of state.screen?.channels || []) known[channel.id] = channel.name;
  return known;
}

// A surface is where blocks stand: a message, the modal, App Home. It knows how a press there is told.
function surface(name, body, root) {
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

function initials(name) {
  return name.split(" ").map((part) => part[0]).slice(0, 2).join("");
}

function message(one, channel) {
  const author = state.screen.people.find((person) => person.id === one.user);
  const time = new Date(Number(one.ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const node = element("article", { class: one.is_ephemeral ? "message ephemeral" : "message", id: `m-${one.ts}`, "data-ts": one.ts });
  const there = surface("press", { where: { ts: one.ts, channel: channel.id } }, () => node);
  const body = one.blocks ? blocks(one.blocks, there, `m-${one.ts}`) : [element("div", { class: "text" }, ...mrkdwn(one.text, names()))];
  node.append(
    element("span", { class: `avatar ${author.is_bot ? "app" : `c${state.screen.people.indexOf(author) % 5}`}`, "aria-hidden": "true" }, initials(author.real_name)),
    element("div", { class: "content" },
      element("p", { class: "by" }, element("strong", {}, author.real_name), author.is_bot ? element("span", { class: "tag" }, "APP") : null,
        element("time", {}, time), one.edited ? element("span", { class: "quiet" }, "(edited)") : null),
      one.is_ephemeral ? element("p", { class: "quiet only" }, "Only visible to you") : null,
      ...body));
  return node;
}

// Each node is kept until what it shows has changed, so that neither focus nor a half-filled field is lost.
function kept(key, value, make) {
  const text = JSON.stringify(value);
  const known = state.shown.get(key);
  if (known && known.text === text) return known.node;
  const node = make();
  const focused = known && known.node.contains(document.activeElement) ? document.activeElement.dataset.action : null;
  state.shown.set(key, { text, node });
  if (focused) requestAnimationFrame(() => node.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus());
  return node;
}

function threads(channel) {
  const replies = Map.groupBy
    ? Map.groupBy(channel.messages, (one) => (one.thread_ts && one.thread_ts !== one.ts ? one.thread_ts : ""))
    : channel.messages.reduce((map, one) => {
        const key = one.thread_ts && one.thread_ts !== one.ts ? one.thread_ts : "";
        return map.set(key, [...(map.get(key) || []), one]);
      }, new Map());
  return (replies.get("") || []).map((parent) => [parent, replies.get(parent.ts) || []]);
}

function arranged(root, nodes) {
  nodes.forEach((node, n) => { if (root.children[n] !== node) root.insertBefore(node, root.children[n] || null); });
  while (root.children.length > nodes.length) root.lastChild.remove();
}

function showMessages(channel) {
  const root = at("messages");
  const atEnd = root.scrollHeight - root.scrollTop - root.clientHeight < 60;
  const nodes = [];
  for (const [parent, replies] of threads(channel)) {
    nodes.push(kept(`${channel.id} ${parent.ts}`, parent, () => message(parent, channel)));
    if (!replies.length) continue;
    const key = `${channel.id} ${parent.ts} replies`;
    const thread = state.shown.get(key)?.node || element("section", { class: "thread", "aria-label": "Thread" });
    state.shown.set(key, { text: "", node: thread });
    arranged(thread, replies.map((reply) => kept(`${channel.id} ${reply.ts}`, reply, () => message(reply, channel))));
    nodes.push(thread);
  }
  if (!nodes.length) nodes.push(kept(`${channel.id} empty`, 1, () => element("p", { class: "empty" }, "Nothing has been said here yet.")));
  arranged(root, nodes);
  const wanted = state.wanted && at(`m-${state.wanted}`);
  if (wanted) { wanted.classList.add("wanted"); wanted.scrollIntoView({ block: "center" }); state.wanted = ""; }
  else if (atEnd) root.scrollTop = root.scrollHeight;
}

function showHome() {
  const home = state.screen.home;
  const node = kept("home", home || 0, () => {
    if (!home) return element("p", { class: "empty" }, "The app has not put anything here yet.");
    const made = element("div", { class: "home" });
    made.append(...blocks(home.blocks, surface("press_in_view", { where: { view_id: home.id } }, () => made), "home"));
    return made;
  });
  arranged(at("messages"), [node]);
}

function closeModal() {
  act("close", {});
}

function showModal() {
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

function go(place) {
  state.place = place;
  remember();
  if (place === "home") act("open_home", {});
  show();
  at("messages").scrollTop = at("messages").scrollHeight;
}

function remember() {
  history.replaceState(null, "", `/?${new URLSearchParams({ user: state.user, place: state.place })}`);
}

function showPlaces() {
  const item = (id, label, fresh) => element("li", {}, element("button",
    { type: "button", "aria-current": state.place === id ? "page" : undefined, onclick: () => go(id) },
    label, fresh ? element("span", { class: "dot", title: "something new" }, element("span", { class: "hidden" }, "something new")) : null));
  const items = state.screen.channels.map((channel) => {
    const last = channel.messages.at(-1)?.ts || "";
    if (state.place === channel.id || !state.seen.has(channel.id)) state.seen.set(channel.id, last);
    return item(channel.id, channel.is_im ? `✉ ${channel.name}` : `# ${channel.name}`, last > state.seen.get(channel.id));
  });
  const value = [state.place, state.screen.channels.map((channel) => [channel.id, state.seen.get(channel.id), channel.messages.at(-1)?.ts])];
  const list = kept("places", value, () => element("ul", { id: "places" }, ...items, item("home", "⌂ Countersign")));
  if (at("places") !== list) at("places").replaceWith(list);
}

function showPeople() {
  const people = state.screen.people.filter((person) => !person.is_bot);
  const picker = at("person");
  if (picker.children.length !== people.length) {
    picker.replaceChildren(...people.map((person) => element("option", { value: person.id }, person.real_name)));
  }
  if (!people.some((person) => person.id === state.user)) { state.user = people[0].id; state.screen = null; }
  picker.value = state.user;
}

function show() {
  const screen = state.screen;
  if (!screen?.channels) return;
  at("team").textContent = `${screen.team} · Slack look-alike`;
  if (state.place !== "home" && !screen.channels.some((channel) => channel.id === state.place)) state.place = screen.channels[0].id;
  const channel = screen.channels.find((one) => one.id === state.place);
  at("place").textContent = channel ? (channel.is_im ? channel.name : `# ${channel.name}`) : "Countersign";
  at("composer").hidden = !channel;
  showPlaces();
  if (channel) showMessages(channel);
  else showHome();
  showModal();
}

let looking = null;
function look() {
  looking = looking || seen().finally(() => { looking = null; });
  return looking;
}

async function seen() {
  const known = state.screen?.user === state.user ? state.screen.revision : "";
  const told = await ask(`/_/screen?${new URLSearchParams({ user: state.user, revision: known })}`);
  if (told.people) {
    state.screen = told;
    showPeople();
    if (!state.screen) return seen();
    show();
  }
}

at("person").addEventListener("change", async (event) => {
  state.user = event.target.value;
  state.shown.clear();
  state.seen.clear();
  at("messages").replaceChildren();
  remember();
  await look();
  if (state.place === "home") act("open_home", {});
});

at("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const line = at("line").value.trim();
  if (!line) return;
  at("line").value = "";
  if (line.startsWith("/")) await act("command", { channel: state.place, line });
  else await act("say", { channel: state.place, text: line });
  at("messages").scrollTop = at("messages").scrollHeight;
});

for (;;) {
  try {
    await look();
  } catch {
    notice("The look-alike does not answer.");
  }
  await new Promise((next) => setTimeout(next, document.hidden ? 3 * EVERY : EVERY));
}

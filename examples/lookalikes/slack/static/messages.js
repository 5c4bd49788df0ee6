// Messages with their threads, and App Home: drawn anew only where something has changed.
"use strict";

import { blocks } from "/blocks.js";
import { element, mrkdwn } from "/mrkdwn.js";
import { at, names, state } from "/screen.js";
import { surface } from "/surface.js";

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
export function kept(key, value, make) {
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

export function showMessages(channel) {
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

export function showHome() {
  const home = state.screen.home;
  const node = kept("home", home || 0, () => {
    if (!home) return element("p", { class: "empty" }, "The app has not put anything here yet.");
    const made = element("div", { class: "home" });
    made.append(...blocks(home.blocks, surface("press_in_view", { where: { view_id: home.id } }, () => made), "home"));
    return made;
  });
  arranged(at("messages"), [node]);
}

// Slack's text in, DOM nodes out. Never HTML: whatever an agent wrote stays text.
"use strict";

const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", no_entry: "⛔", no_entry_sign: "🚫", hourglass: "⌛",
  hourglass_flowing_sand: "⏳", warning: "⚠️", lock: "🔒", key: "🔑", bell: "🔔", robot_face: "🤖", eyes: "👀", tada: "🎉",
  rotating_light: "🚨", large_green_circle: "🟢", large_yellow_circle: "🟡", red_circle: "🔴", information_source: "ℹ️",
};
const LINKS = /^(https?:\/\/|mailto:)/i;
const BEFORE = "(^|[\\s([{\"'.,;:!?*_~–—-])";
const AFTER = "(?=$|[\\s)\\]}\"'.,;:!?*_~–—-])";
const TOKEN = /<([^<>\n]+)>/;
const MARKS = ["<([^<>\\n]+)>", "`([^`\\n]+)`", `${BEFORE}([*_~])(\\S(?:[^\\n]*?\\S)?)\\4${AFTER}`, ":([a-z_]+):"];
const MARK_VERBATIM = new RegExp(MARKS.join("|"));
const MARK = new RegExp([...MARKS, "(https?:\\/\\/[^\\s<>|]+)"].join("|"));
const TAGS = { "*": "strong", "_": "em", "~": "s" };

export function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function outside(address, ...children) {
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

function unescaped(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function moment(seconds, format, fallback) {
  const at = new Date(Number(seconds) * 1000);
  if (Number.isNaN(at.getTime())) return fallback;
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const seconded = at.toLocaleTimeString();
  const today = at.toDateString() === new Date().toDateString();
  const date = (options) => at.toLocaleDateString([], options);
  const long = { year: "numeric", month: "long", day: "numeric" };
  const values = {
    date: date(long), date_short: date({ year: "numeric", month: "short", day: "numeric" }), date_num: at.toISOString().slice(0, 10),
    date_long: date({ weekday: "long", ...long }), date_pretty: today ? "today" : date(long),
    date_short_pretty: today ? "today" : date({ year: "numeric", month: "short", day: "numeric" }),
    date_long_pretty: today ? "today" : date({ weekday: "long", ...long }), time, time_secs: seconded, ago: time,
  };
  return format.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// What stands between < and >: links, mentions, dates.
function token(inside, names) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? "" : unescaped(inside.slice(bar + 1));
  if (target.startsWith("@")) return element("span", { class: "mention" }, `@${names[target.slice(1)] || label || target.slice(1)}`);
  if (target.startsWith("#")) return element("span", { class: "mention" }, `#${names[target.slice(1)] || label || target.slice(1)}`);
  if (target.startsWith("!date^")) {
    const [, seconds, format] = target.split("^");
    return document.createTextNode(moment(seconds, format || "", label));
  }
  if (target.startsWith("!")) return element("span", { class: "mention loud" }, `@${label || target.slice(1)}`);
  const address = unescaped(target);
  return LINKS.test(address) ? outside(address, label || address) : document.createTextNode(`<${unescaped(inside)}>`);
}

// `how`: "code" knows tokens alone, "verbatim" makes no links of bare addresses.
function inline(text, names, how) {
  const nodes = [];
  let rest = text;
  while (rest) {
    const found = (how === "code" ? TOKEN : how === "verbatim" ? MARK_VERBATIM : MARK).exec(rest);
    if (!found) break;
    const [whole, inside, code, before, mark, marked, emoji, address] = found;
    nodes.push(unescaped(rest.slice(0, found.index) + (before || "")));
    if (inside) nodes.push(token(inside, names));
    else if (code) nodes.push(element("code", {}, ...inline(code, names, "code")));
    else if (mark) nodes.push(element(TAGS[mark], {}, ...inline(marked, names, how)));
    else if (address) nodes.push(outside(unescaped(address), unescaped(address)));
    else nodes.push(EMOJI[emoji] || whole);
    rest = rest.slice(found.index + whole.length);
  }
  nodes.push(unescaped(rest));
  return nodes;
}

function lines(text, names, how) {
  const nodes = [];
  let quote = null;
  text.split("\n").forEach((line, n, all) => {
    const quoted = /^(?:&gt;|>) ?/.exec(line);
    if (quoted) {
      if (!quote) nodes.push((quote = element("blockquote", {})));
      else quote.append(element("br"));
      quote.append(...inline(line.slice(quoted[0].length), names, how));
      return;
    }
    if (n && !quote) nodes.push(element("br"));
    quote = null;
    nodes.push(...inline(line, names, how));
  });
  return nodes;
}

export function mrkdwn(text, names, verbatim) {
  const nodes = [];
  text.split(/```\n?([\s\S]*?)```\n?/).forEach((part, n) => {
    if (n % 2) nodes.push(element("pre", {}, ...inline(part.replace(/\n$/, ""), names, "code")));
    else if (part) nodes.push(...lines(part.replace(/\n$/, ""), names, verbatim ? "verbatim" : ""));
  });
  return nodes;
}

// A text object of kind plain_text: no markup, but Slack's three entities, and emoji unless switched off.
export function plain(object) {
  const text = object.emoji === false ? object.text : object.text.replace(/:([a-z_]+):/g, (whole, name) => EMOJI[name] || whole);
  return unescaped(text);
}

export function words(object, names) {
  if (!object) return [];
  return object.type === "mrkdwn" ? mrkdwn(object.text, names, object.verbatim) : [plain(object)];
}

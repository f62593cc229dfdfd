// app.js - a shop over the HTTP interface and nothing else: three pages, three kinds of event, and "why this item".
//
// Whatever comes from the server is put into the page as text, never as HTML. Columns are recognised by their names, so the same file
// shows products with prices and films without.

const $ = (id) => document.getElementById(id);
const TITLES = ["title", "name", "movie_title", "product_title", "label"];
const LINES = ["brand", "category", "genres", "genre", "author", "artist", "director", "year", "release_year"];
const KINDS = ["category", "genres", "genre", "brand"];
const HIDDEN = new Set([...TITLES, "id", "item", "product", "price", "stock", "new", "hidden", "margin", "score", "source", "why", "explain"]);
const SOURCES = { similar: "similar to what was looked at", popular: "popular with everybody", trending: "trending now", recent: "looked at before" };

const known = new Map(); // item id -> the last data seen of it
let visitor = "";
let cart = [];
let visit = 0; // counts views, so that a slow answer does not replace a newer one

// ---- small things -----------------------------------------------------------------------------------------------------------

/** An element with properties and children; strings become text. */
function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("aria-") || key === "role") node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

async function api(path, options) {
  const answer = await fetch(path, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error?.message ?? `the server said ${answer.status}`);
  return body;
}

function query(parameters) {
  const pairs = Object.entries(parameters).filter(([, value]) => value);
  return new URLSearchParams(pairs).toString();
}

/** A short message, above whatever dialog is open. */
function say(text) {
  const toast = $("toast");
  toast.textContent = text;
  if (toast.matches(":popover-open")) toast.hidePopover();
  toast.showPopover();
  clearTimeout(say.timer);
  say.timer = setTimeout(() => toast.hidePopover(), 2600);
}

function hash(text) {
  let h = 2166136261;
  for (const c of text) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  h = Math.imul(h ^ (h >>> 15), 2246822519);
  return (h ^ (h >>> 13)) >>> 0;
}

const number = (value, digits = 4) => (typeof value === "number" ? String(Number(value.toPrecision(digits))) : "none");
const truthy = (value) => value !== undefined && value !== null && !["", "0", "false", "no"].includes(String(value).toLowerCase());
const first = (item, names) => names.map((name) => item[name]).find((value) => value !== null && value !== undefined && value !== "");
const titleOf = (item) => String(first(item, TITLES) ?? item.id);
const lineOf = (item) => LINES.map((name) => item[name]).filter((v) => v !== null && v !== undefined && v !== "").slice(0, 3).join(" · ");
const priceOf = (item) => (Number.isFinite(Number(item.price)) && item.price !== null && item.price !== "" ? Number(item.price) : null);
const money = (value) => value.toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const wordOf = (name) => name.replaceAll("_", " ");

// ---- the visitor ------------------------------------------------------------------------------------------------------------

const stored = {
  get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* private windows may refuse; then it lasts as long as the page */ } },
};

function newVisitor() {
  const bytes = crypto.getRandomValues(new Uint8Array(4));
  return "guest-" + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

function become(user) {
  visitor = user;
  stored.set("moonshelf.user", user);
  $("user").value = user;
  try {
    const saved = JSON.parse(stored.get("moonshelf.cart." + user) ?? "[]");
    cart = Array.isArray(saved) ? saved.filter((id) => typeof id === "string") : [];
  } catch { cart = []; }
  showCount();
}

function keepCart() {
  stored.set("moonshelf.cart." + visitor, JSON.stringify(cart));
  showCount();
}

function showCount() {
  $("cart-count").textContent = cart.length || "";
  $("open-cart").setAttribute("aria-label", `Cart, ${cart.length} ${cart.length === 1 ? "thing" : "things"}`);
}

/** An id of its own makes sending it again harmless. */
async function post(event, item) {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
  await api("/v1/events", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ user: visitor, item, event, id }),
  });
}

// ---- items ------------------------------------------------------------------------------------------------------------------

/** No photographs here: a colour for the kind of thing, a shade for the thing, and its initials. */
function picture(item) {
  const h = hash(item.id), kind = hash(String(first(item, KINDS) ?? item.id)) % 360;
  const letters = titleOf(item).split(/[^\p{L}\p{N}]+/u).filter(Boolean).slice(0, 2).map((word) => [...word][0].toUpperCase()).join("");
  const node = make("div", { className: "picture", "aria-hidden": "true" }, make("span", {}, letters || "?"));
  node.style.setProperty("--a", `hsl(${kind + (h % 30)} ${44 + ((h >>> 5) % 16)}% ${62 + ((h >>> 9) % 8)}%)`);
  node.style.setProperty("--b", `hsl(${kind + 24 + (h % 40)} 46% ${42 + ((h >>> 12) % 8)}%)`);
  node.style.setProperty("--turn", `${(h >>> 16) % 180}deg`);
  return node;
}

function badges(item) {
  const list = make("span", { className: "badges" });
  if (truthy(item.new)) list.append(make("span", { className: "badge new" }, "new"));
  const stock = Number(item.stock);
  if (item.stock !== null && item.stock !== undefined && stock > 0 && stock <= 5) list.append(make("span", { className: "badge low" }, `only ${stock} left`));
  return list;
}

function actionButton(item) {
  const sold = priceOf(item) !== null;
  const label = sold ? "Add to cart" : "Like";
  return make("button", {
    type: "button", className: "primary", "aria-label": `${label}: ${titleOf(item)}`, onclick: () => (sold ? addToCart(item) : like(item)),
  }, label);
}

function whyButton(item) {
  return make("button", { type: "button", className: "why-button", title: "Why this item", "aria-haspopup": "dialog",
    "aria-label": `Why this item: ${titleOf(item)}`, onclick: () => explain(item) }, "why?");
}

function card(item, index, all) {
  known.set(item.id, { ...known.get(item.id), ...item });
  const price = priceOf(item), alone = all.length === 1;
  return make("li", { className: "card" },
    make("a", { className: "card-link", href: "#/item/" + encodeURIComponent(item.id) }, picture(item),
      make("span", { className: "card-title" }, titleOf(item))),
    badges(item), whyButton(item),
    make("span", { className: "line" }, lineOf(item)),
    alone && item.why ? make("span", { className: "line" }, item.why) : null,
    make("div", { className: "card-foot" }, price === null ? null : make("span", { className: "price" }, money(price)), actionButton(item)));
}

function row(slot) {
  const heading = make("h2", {}, slot.title || wordOf(slot.name));
  if (slot.fallback) heading.append(make("span", { className: "note" }, "filled up with what is popular"));
  const list = make("ul", { className: slot.items.length === 1 ? "cards hero" : "cards" }, ...slot.items.map(card));
  return make("section", { className: "slot" }, heading, list);
}

// ---- why this item ----------------------------------------------------------------------------------------------------------

function term(list, name, value) {
  list.append(make("dt", {}, name), make("dd", {}, value));
}

function effectText(effect) {
  const parts = [];
  if (typeof effect.factor === "number" && effect.factor) parts.push(`score × ${number(effect.factor)}`);
  if (effect.from && effect.to && effect.from !== effect.to) parts.push(`from place ${effect.from} to ${effect.to}`);
  else if (effect.from && !effect.to) parts.push(`from place ${effect.from}`);
  else if (effect.to) parts.push(`at place ${effect.to}`);
  if (effect.text) parts.push(`“${effect.text}”`);
  return parts.join(", ") || "looked at it and left it where it was";
}

function explain(item) {
  const facts = item.explain ?? {};
  const list = make("dl", { className: "facts" });
  if (facts.position) term(list, "Place in its row", String(facts.position));
  term(list, "Found because it is", `${SOURCES[item.source] ?? item.source ?? "chosen"} (${number(facts.source_score)})`);
  if (typeof facts.model_score === "number") term(list, "The model's estimate", `${number(facts.model_score * 100, 3)} % chance`);
  term(list, "Final score", number(item.score));
  const effects = Array.isArray(facts.effects) ? facts.effects : [];
  const steps = make("ol", { className: "effects" },
    ...effects.map((effect) => make("li", {}, make("code", {}, effect.policy ?? "policy"), " ", effectText(effect))));
  $("why-title").textContent = `Why “${titleOf(item)}”?`;
  $("why-body").replaceChildren(
    ...[item.why ? make("p", { className: "lead" }, item.why) : null, list,
      make("h3", {}, effects.length ? "What the shop's policies did" : "No policy touched it"), effects.length ? steps : null].filter(Boolean));
  $("why").showModal();
}

// ---- pages ------------------------------------------------------------------------------------------------------------------

async function fetchPage(surface, parameters) {
  const path = `/v1/page/${surface}?${query({ user: visitor, ...parameters, explain: "1" })}`;
  const start = performance.now();
  const page = await api(path);
  return { page, path, ms: performance.now() - start };
}

function showFacts({ page, path, ms }) {
  const count = page.slots.reduce((sum, slot) => sum + slot.items.length, 0);
  $("facts").textContent = `${count} items in ${page.slots.length} rows, ${ms.toFixed(0)} ms` + (page.degraded ? `; degraded: ${page.degraded}` : "");
  $("raw").href = path;
  $("visitor").replaceChildren(page.cold ? `${visitor} is new here: this is what strangers see. Look at something and come back.`
    : `Made for ${visitor}.`);
}

async function homeView() {
  const result = await fetchPage("home", {});
  const rows = result.page.slots.filter((slot) => slot.items.length).map(row);
  return { result, title: "", nodes: rows.length ? rows : [make("p", { className: "quiet" }, "There is nothing to show on this page.")] };
}

async function itemView(id) {
  const item = { ...known.get(id), ...(await api("/v1/items/" + encodeURIComponent(id))) };
  known.set(id, item);
  await post("view", id); // first, so that the rows below already know of it
  const result = await fetchPage("product", { item: id }).catch((problem) => ({ problem }));
  const price = priceOf(item);
  const details = make("dl", { className: "facts" });
  for (const [name, value] of Object.entries(item)) {
    if (!HIDDEN.has(name) && value !== null && value !== "") term(details, wordOf(name), String(value));
  }
  const buttons = make("div", { className: "buttons" }, actionButton(item));
  if (price !== null) buttons.append(make("button", { type: "button", onclick: () => buy([id]) }, "Buy now"));
  const product = make("article", { className: "product" }, picture(item),
    make("div", { className: "product-text" }, make("a", { className: "back", href: "#/" }, "← back to the shop"), make("h1", {}, titleOf(item)),
      badges(item), price === null ? null : make("p", { className: "price" }, money(price)), details, buttons));
  const rows = result.page ? result.page.slots.filter((slot) => slot.items.length).map(row) : [];
  return { result: result.page ? result : null, title: titleOf(item), nodes: [product, ...rows] };
}

async function show({ focus = false } = {}) {
  const mine = ++visit;
  document.body.classList.add("busy");
  try {
    const id = location.hash.startsWith("#/item/") ? decodeURIComponent(location.hash.slice(7)) : null;
    const view = id === null ? await homeView() : await itemView(id);
    if (mine !== visit) return;
    $("main").replaceChildren(...view.nodes);
    if (view.result) showFacts(view.result);
    document.title = view.title ? `${view.title} · ${$("shop").textContent}` : $("shop").textContent;
    if (focus) {
      scrollTo(0, 0);
      $("main").focus({ preventScroll: true });
    }
  } catch (problem) {
    if (mine === visit) {
      $("main").replaceChildren(make("p", { className: "problem", role: "alert" }, problem.message),
        make("p", {}, make("button", { type: "button", onclick: () => show() }, "Try again"), " ", make("a", { href: "#/" }, "to the front page")));
    }
  } finally {
    if (mine === visit) document.body.classList.remove("busy");
  }
}

// ---- doing things -----------------------------------------------------------------------------------------------------------

/** Runs an action and tells what went wrong with it. */
async function attempt(action, done) {
  try {
    await action();
    if (done) say(done);
    return true;
  } catch (problem) {
    say(problem.message);
    return false;
  }
}

/** What has happened shows in the rows: of the open cart, and of the front page. */
async function refresh() {
  if ($("cart").open) await showCart();
  if (!location.hash.startsWith("#/item/")) await show();
}

async function addToCart(item) {
  if (!(await attempt(() => post("cart", item.id), `In the cart: ${titleOf(item)}`))) return;
  if (!cart.includes(item.id)) cart.push(item.id);
  keepCart();
  await refresh();
}

async function like(item) {
  if (await attempt(() => post("like", item.id), `You like ${titleOf(item)}`)) await refresh();
}

async function buy(ids) {
  const done = await attempt(async () => { for (const id of ids) await post("purchase", id); }, ids.length === 1 ? "Bought. Thank you!" : `Bought ${ids.length} things. Thank you!`);
  if (!done) return;
  cart = cart.filter((id) => !ids.includes(id));
  keepCart();
  $("cart").close();
  location.hash = "#/";
  await refresh();
}

async function showCart() {
  const body = $("cart-body");
  if (!$("cart").open) $("cart").showModal();
  body.replaceChildren(make("p", { className: "quiet" }, cart.length ? "Looking…" : "Nothing in it yet."));
  if (!cart.length) return;
  const items = await Promise.all(cart.map((id) => api("/v1/items/" + encodeURIComponent(id)).catch(() => null)));
  const there = items.filter(Boolean);
  const list = make("ul", { className: "cart-list" }, ...there.map((item) => make("li", {}, picture(item),
    make("span", { className: "card-title" }, titleOf(item)), priceOf(item) === null ? null : make("span", { className: "price" }, money(priceOf(item))),
    make("button", { type: "button", "aria-label": `Remove ${titleOf(item)}`, onclick: () => { cart = cart.filter((id) => id !== item.id); keepCart(); showCart(); } }, "Remove"))));
  const sum = there.reduce((total, item) => total + (priceOf(item) ?? 0), 0);
  const pay = make("div", { className: "pay" }, make("strong", {}, `Together ${money(sum)}`),
    make("button", { type: "button", className: "primary", onclick: () => buy(there.map((item) => item.id)) }, "Buy"));
  body.replaceChildren(list, pay);
  const more = await fetchPage("cart", { items: there.map((item) => item.id).join(",") }).catch(() => null); // a site need not have a cart page
  if (more && body.contains(list)) body.append(...more.page.slots.filter((slot) => slot.items.length).map(row));
}

// ---- start ------------------------------------------------------------------------------------------------------------------

$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  become($("user").value.trim() || newVisitor());
  show();
});
$("user").addEventListener("change", () => { if ($("user").value.trim() !== visitor) $("who").requestSubmit(); });
$("user").addEventListener("focus", () => $("user").select());
$("stranger").addEventListener("click", () => { become(newVisitor()); show(); });
$("open-cart").addEventListener("click", () => showCart().catch((problem) => say(problem.message)));
for (const dialog of [$("why"), $("cart")]) dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
addEventListener("hashchange", () => { $("cart").close(); show({ focus: true }); });

async function start() {
  const [health, users] = await Promise.all([api("/healthz"), api("/v1/users?limit=200")]);
  $("shop").textContent = health.bundle || "Shop";
  $("users").replaceChildren(...users.users.map((user) => make("option", { value: user })));
  become(stored.get("moonshelf.user") || users.users[0] || newVisitor());
  await show();
}
start().catch((problem) => $("main").replaceChildren(make("p", { className: "problem", role: "alert" }, problem.message)));

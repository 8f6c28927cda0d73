"use strict";
// What a report does in a browser: settings pick a cell of the numbers that came with it, and dollars are those of the
// cell at $1 per GPU-hour, times price, over utilization. Every number is one that costcalc computed.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  const asked = { price: data.price, use: data.use, batch: data.batches[data.batch], context: data.contexts[data.context] };
  let state = { ...asked };

  // Numbers as costcalc writes them.

  const grouped = (value, digits) =>
    value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  // So many digits that count, in plain decimals, without zeros behind them.
  const rounded = (value, digits) => {
    if (value === 0) return "0";
    const power = Number(value.toExponential(digits - 1).split("e")[1]);
    const text = Number(value.toPrecision(digits)).toFixed(Math.max(0, digits - 1 - power));
    return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  };
  const usd = (value, digits = 3) => {
    const amount = Math.abs(value) * data.per_usd, sign = (value < 0 ? "-" : "") + data.sign;
    if (amount >= 9999.995) return sign + grouped(amount, 0);
    if (Number(amount.toFixed(digits)) >= 1) return sign + grouped(amount, 2);
    const [whole, fraction = ""] = rounded(amount, digits).split(".");
    return `${sign}${whole}.${fraction.padEnd(2, "0")}`;
  };
  const usdEnd = (value, digits) =>
    value * data.per_usd >= 100 ? data.sign + grouped(value * data.per_usd, 0) : usd(value, digits);
  const speed = (value, digits = 3) => {
    if (value >= 1000) return grouped(Number(value.toPrecision(digits)), 0);
    return value >= 1 ? rounded(value, digits) : `${rounded(value * 1e3, digits)} m`;
  };
  const seconds = (value, digits = 3) => {
    for (const [least, unit, name] of [[172800, 86400, "days"], [7200, 3600, "h"], [120, 60, "min"]])
      if (value >= least) return `${rounded(value / unit, digits)} ${name}`;
    const near = Number(value.toPrecision(digits));
    for (const [unit, name] of [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]])
      if (near >= unit) return `${rounded(value / unit, digits)} ${name}`;
    return `${rounded(value / 1e-9, digits)} ns`;
  };
  const ways = { "$/M": [usd, usdEnd], "$": [usd, usdEnd], "tokens/s": [speed, speed], "s": [seconds, seconds] };
  // The ends of a range in one unit, which is said once.
  const parts = (text) => /^([^\d.]*)(\d[\d.,]*)(\D*)$/.exec(text);
  const ends = (low, high, show) => {
    const first = show(low, 2), last = show(high, 2), a = parts(first), b = parts(last);
    if (!a || !b) return `${first}–${last}`;
    const unit = a[3] === b[3] ? 0 : high / Number(parts(show(high, 15))[2].replaceAll(",", ""));
    const number = unit ? rounded(low / unit, 2) : a[2];
    return `${a[1]}${number}–${a[1] === b[1] ? "" : b[1]}${b[2]}${b[3]}`;
  };
  const written = (value, show) => (value === null || !Number.isFinite(value) ? "-" : show(value));
  const percent = (share) => `${rounded(share * 100, 2)}%`;
  const count = (value) => (Number.isInteger(value) || value >= 100 ? grouped(value, 0) : rounded(value, 3));

  // The numbers of a state.

  const cell = () => data.batches.indexOf(state.batch) * data.contexts.length + data.contexts.indexOf(state.context);
  // What serves a demand: replicas follow the use, dollars the price.
  const fleet = (path) => {
    const { each, pool, replicas, busy, hours, tokens_per_h } = data.fleet;
    if (state.price === null) return null;
    const hour = ((busy === null ? replicas : Math.max(1, Math.ceil(busy / state.use))) * each + pool) * state.price;
    return path === "demand.usd_per_month" ? hour * hours : (hour / tokens_per_h) * 1e6;
  };

  const number = (path) => {
    if (path.startsWith("demand.")) return path.endsWith(".low") || path.endsWith(".high") ? null : fleet(path);
    const column = data.columns[path], value = column ? column[cell()] : null;
    if (value === null || value === undefined) return null;
    if (!path.startsWith("cost.")) return value;
    return state.price === null ? null : (value * state.price) / state.use;
  };

  const show = () => {
    for (const each of document.querySelectorAll("#results data")) {
      const path = each.dataset.path, [value, ofEnd] = ways[each.dataset.unit];
      const known = number(path), low = number(`${path}_range.low`), high = number(`${path}_range.high`);
      each.value = known === null ? "" : String(known);
      each.textContent = written(known, value);
      const range = each.closest("tr").querySelector(".range");
      range.dataset.low = low === null ? "" : String(low);
      range.dataset.high = high === null ? "" : String(high);
      range.textContent = low === null || high === null ? "" : `[${ends(low, high, ofEnd)}]`;
    }
    const month = data.fleet === null ? null : number("demand.usd_per_month");
    const cost = number(data.fleet === null ? "cost.usd_per_million_blended_tokens" : "demand.usd_per_million_tokens");
    for (const each of document.querySelectorAll("#list-prices [data-list]")) {
      const margin = cost === null ? null : 1 - cost / Number(each.dataset.list);
      const told = margin === null ? "" : percent(margin < 0 ? margin / (margin - 1) : margin);
      each.textContent = margin === null ? "-" : margin < 0 ? `a loss of ${told} of the cost` : `a margin of ${told}`;
      each.dataset.margin = margin === null ? "" : String(margin);
    }
    const users = state.batch * data.replicas, per_user = number("serving.tokens_per_s_per_user");
    const people = `${count(users)} user${users === 1 ? "" : "s"}`, tokens = `${grouped(state.context, 0)} tokens of context`;
    const most = data.columns["memory.max_sequences"][cell()] * data.replicas;
    const parts = [`${people} at ${tokens}`];
    if (!data.columns["memory.fits"][cell()]) parts[0] += ` do not fit: ${grouped(most, 0)} do`;
    else {
      if (per_user !== null) parts.push(`${speed(per_user)} tok/s each`);
      if (month !== null) parts.push(`${usd(month)} a month`);
      if (cost !== null) parts.push(`${usd(cost)} per million tokens`);
      const bound = data.columns["decode.bound_by"][cell()];
      if (bound) parts.push(`${bound} binds`);
    }
    element("summary").textContent = `${parts.join("; ")}.`;
    element("batch-shown").textContent = people;
    element("context-shown").textContent = grouped(state.context, 0);
    if (data.command !== null) {
      const told = [data.command];
      if (data.batches.length > 1) told.push(`--batch ${state.batch}`);
      if (data.contexts.length > 1) told.push(`--context ${state.context}`);
      if (state.price !== null) told.push(`--price ${Number(state.price.toPrecision(12))}`);
      told.push(`--utilization ${state.use}`);
      element("command").hidden = false;
      const words = told.join(" ").split(" ").flatMap((word) => {
        const whole = document.createElement("span");
        if (word.startsWith("-")) whole.className = "unbroken";
        whole.textContent = word;
        return [whole, " "];
      });
      element("command").querySelector("code").replaceChildren(...words.slice(0, -1));
    }
    element("link").href = hash();
  };

  // The settings: what is typed, the sliders, and the address.

  const put = () => {
    const paid = (state.price ?? 0) * data.per_usd;  // prices are told and linked to in US dollars
    element("price").value = state.price === null ? "" : String(Number(paid.toPrecision(6)));
    element("price-slider").value = String(paid);
    element("use").value = String(Number((state.use * 100).toPrecision(15)));
    element("use-slider").value = String(state.use * 100);
    for (const [name, values, unit] of [["batch", data.batches, "users"], ["context", data.contexts, "tokens"]]) {
      const times = name === "batch" ? data.replicas : 1;
      element(name).value = String(values.indexOf(state[name]));
      element(name).setAttribute("aria-valuetext", `${count(state[name] * times)} ${unit}`);
    }
    show();
  };
  const nearest = (values, wanted) =>
    values.reduce((best, each) => (Math.abs(each - wanted) < Math.abs(best - wanted) ? each : best));
  const hash = () => {
    const told = new URLSearchParams();
    if (state.price !== null) told.set("price", String(state.price));
    for (const name of ["use", "batch", "context"]) told.set(name, String(state[name]));
    return `#${told}`;
  };
  // What an address says, as far as it can be: other words in it are nobody's.
  const read = () => {
    const told = new URLSearchParams(window.location.hash.slice(1));
    const of = (name) => (/^[0-9.]+(e[-+]?[0-9]+)?$/.test(told.get(name) ?? "") ? Number(told.get(name)) : NaN);
    state = { ...asked };
    if (of("price") >= 0 && of("price") <= 1e9) state.price = of("price");
    if (of("use") > 0 && of("use") <= 1) state.use = of("use");
    if (of("batch") > 0) state.batch = nearest(data.batches, of("batch"));
    if (of("context") > 0) state.context = nearest(data.contexts, of("context"));
    put();
  };
  const set = (changed) => {
    state = { ...state, ...changed };
    window.history.replaceState(null, "", hash());
    put();
  };
  const price = (text) => {
    const value = Number(text);
    if (text !== "" && value >= 0 && value <= 1e9) set({ price: value / data.per_usd });
  };
  const use = (text) => {
    const value = Number(text) / 100;
    if (text !== "" && value > 0 && value <= 1) set({ use: value });
  };
  for (const [name, change] of [["price", price], ["use", use]]) {
    // A number is taken when it is whole, not while it is typed.
    element(name).addEventListener("change", (event) => { change(event.target.value); put(); });
    element(`${name}-slider`).addEventListener("input", (event) => change(event.target.value));
  }
  for (const [name, values] of [["batch", data.batches], ["context", data.contexts]]) {
    element(name).max = String(values.length - 1);
    element(name).disabled = values.length === 1;
    element(name).addEventListener("input", (event) => set({ [name]: values[Number(event.target.value)] }));
  }
  const form = element("settings");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => { event.preventDefault(); set(asked); });
  window.addEventListener("hashchange", read);
  form.hidden = false;
  read();

  // On paper everything is open.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const each of closed) each.open = true;
  });
  window.addEventListener("afterprint", () => { for (const each of closed) each.open = false; });
})();

// A live figure: asks SOLVER for the curves at what the handles say, and draws them.
const figure = document.currentScript
  ? document.currentScript.closest("figure")
  : document.getElementById("FIGURE");
const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
const all = (selector) => [...figure.querySelectorAll(selector)];
const WIDTH = 480, FOOT = 104, TOP = 24; // as in drawing.py and live.py
const COLUMNS = 96, KNOT = 12; // a drawing, and how many columns lie between two knots of the keyboard
const NEAR = 0.012; // of the range of a handle: there the dots still show

// Numbers, and where they lie

const clamp = (number, low, high) => Math.min(Math.max(number, low), high);
const scaled = (axis, number) => (axis.log ? Math.log10(Math.max(number, Number.MIN_VALUE)) : number);

/** 0 at the low end of an axis or a handle, 1 at the high end. */
function share(axis, number) {
  const low = scaled(axis, axis.low);
  return (scaled(axis, number) - low) / (scaled(axis, axis.high) - low);
}

function numberAt(axis, part, of = 1) {
  if (axis.log) return axis.low * (axis.high / axis.low) ** (part / of);
  return axis.low + ((axis.high - axis.low) * part) / of;
}

const place = (axis, number) => axis.start + (axis.stop - axis.start) * share(axis, number);

/** Three digits, powers of ten raised, as `_shown` of live.py has them. */
function written(number, unit = "") {
  if (Number.isNaN(number)) return "–";
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  const short = Number(number.toPrecision(3)), size = Math.abs(short);
  let text = String(short);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) {
    const [mantissa, power] = short.toExponential().split("e").map(Number);
    const factor = { 1: "", "-1": "-" }[mantissa] ?? `${mantissa}×`;
    text = factor + "10" + String(power).replace(/[-0-9]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  }
  return text.replace(/^-/, "−") + (unit ? `\u00a0${unit}` : "");
}

/** Without a power of ten, which an ARIA value must not have. */
const decimal = (number) => number.toFixed(15).replace(/[.]?0+$/, "");

/** Round numbers on an axis: decades if there are two, else multiples of 1, 2 or 5. */
function ticks(axis, most = 6) {
  const whole = (low, high) => Array.from({ length: Math.max(0, high - low + 1) }, (_, k) => low + k);
  const ends = [axis.low, axis.high].map((end) => scaled(axis, end));
  const first = Math.ceil(ends[0] - 1e-9), last = Math.floor(ends[1] + 1e-9);
  if (axis.log && last > first) {
    const every = Math.ceil((last - first + 1) / most);
    return whole(first, last).filter((k) => k % every === 0).map((k) => 10 ** k);
  }
  const raw = (axis.high - axis.low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= raw * (1 - 1e-9));
  return whole(Math.ceil(axis.low / step - 1e-9), Math.floor(axis.high / step + 1e-9)).map((k) => k * step);
}

// Curves and dots

const [across, up] = data.axes;

function line(x, y) {
  const points = x.map((number, k) => [place(across, number), clamp(place(up, y[k]), -3200, 3200)]);
  return "M" + points.filter(([, at]) => !Number.isNaN(at)).map((p) => p.map((c) => c.toFixed(1)).join(" ")).join(" ");
}

function dots(x, y) {
  const seen = x.map((number, k) => [place(across, number), place(up, y[k])]);
  const inside = seen.filter(([, at]) => at >= up.stop - 1e-6 && at <= up.start + 1e-6);
  return inside.map(([a, u]) => `M${a.toFixed(1)} ${u.toFixed(1)}h0`).join("");
}

/** The axis of y spans the curves, and its numbers go along. */
function follow(curves) {
  const numbers = [...curves, ...data.fixed].flat().filter((n) => Number.isFinite(n) && (!up.log || n > 0));
  const ends = [Math.min(...numbers), Math.max(...numbers)].map((end) => scaled(up, end));
  const margin = 0.05 * (ends[1] - ends[0]) || Math.abs(ends[1]) / 2 || 0.5;
  [up.low, up.high] = [ends[0] - margin, ends[1] + margin].map((end) => (up.log ? 10 ** end : end));
  const marks = ticks(up).map((tick) => {
    const at = place(up, tick).toFixed(1);
    return `<path class="grid" d="M${across.start} ${at}H${across.stop}"/>` +
      `<text x="${across.start - 6}" y="${at}" text-anchor="end" dy=".33em">${written(tick)}</text>`;
  });
  const axes = figure.querySelector(".axes");
  axes.querySelectorAll(".grid, text[text-anchor=end], .follows").forEach((part) => part.remove());
  axes.insertAdjacentHTML("beforeend", `<g class="follows">${marks.join("")}</g>`);
  all("path.fixed").slice(-data.fixed.length || Infinity).forEach((path, k) => {
    path.setAttribute("d", line(data.x, data.fixed[k]));
  });
}

// Handles: each reads and moves a list of shares, one for a range, several for bars

function range(handle) {
  const input = document.getElementById(`${figure.id}-${handle.name}-range`);
  const output = input.parentNode.querySelector("output");
  input.addEventListener("input", redraw);
  return {
    name: handle.name,
    shares: () => [input.value / handle.steps],
    move: ([to]) => { input.value = Math.round(to * handle.steps); },
    value: () => numberAt(handle, Number(input.value), handle.steps),
    show() {
      output.textContent = written(this.value(), handle.unit);
      input.setAttribute("aria-valuetext", output.textContent);
    },
  };
}

function bars(handle) {
  const svg = document.getElementById(`${figure.id}-${handle.name}`).parentNode.nextElementSibling;
  const knobs = [...svg.querySelectorAll("[role=slider]")];
  let heights = data.stops.start[handle.name];
  const set = (k, to) => { heights = heights.with(k, to); };
  const at = (event) => {
    const { x, y } = position(svg, event);
    return [clamp(Math.floor((x / WIDTH) * knobs.length), 0, knobs.length - 1), clamp((FOOT - y) / (FOOT - TOP), 0, 1)];
  };
  sweep(svg, at, set, redraw);
  knobs.forEach((knob, k) => keys(knob, () => heights[k], (to) => { set(k, to); redraw(); }));
  return {
    name: handle.name,
    shares: () => heights,
    move: (to) => { heights = to; },
    value: () => heights.map((height) => numberAt(handle, height)),
    show() {
      this.value().forEach((value, k) => stand(knobs[k], heights[k], value, written(value, handle.unit)));
    },
  };
}

function stand(knob, height, value, text) {
  const top = FOOT + (TOP - FOOT) * height;
  knob.setAttribute("aria-valuenow", decimal(value));
  knob.setAttribute("aria-valuetext", text);
  knob.querySelector("rect").setAttribute("y", top);
  knob.querySelector("rect").setAttribute("height", FOOT - top);
  knob.querySelector("circle").setAttribute("cy", top);
  knob.querySelector(".value").setAttribute("y", top - 10);
  knob.querySelector(".value").textContent = text;
}

// Mouse, finger and keys

function position(svg, event) {
  const box = svg.getBoundingClientRect(), unit = WIDTH / box.width;
  return { x: (event.clientX - box.left) * unit, y: (event.clientY - box.top) * unit };
}

/** Sets the height of every column that the pointer passes over while it is down. */
function sweep(svg, at, set, after) {
  let last = null;
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    last = at(event);
    set(...last);
    after();
  });
  svg.addEventListener("pointermove", (event) => {
    if (last === null) return;
    const now = at(event), way = Math.abs(now[0] - last[0]), side = Math.sign(now[0] - last[0]);
    for (let k = 1; k <= way; k++) set(last[0] + side * k, last[1] + ((now[1] - last[1]) * k) / way);
    if (way === 0) set(...now);
    last = now;
    after();
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { last = null; });
}

const STEPS = { ArrowUp: 0.02, ArrowRight: 0.02, ArrowDown: -0.02, ArrowLeft: -0.02, PageUp: 0.1, PageDown: -0.1 };

function keys(knob, height, set) {
  knob.addEventListener("keydown", (event) => {
    const ends = { Home: 0, End: 1 };
    if (!(event.key in STEPS || event.key in ends)) return;
    event.preventDefault();
    set(ends[event.key] ?? clamp(height() + STEPS[event.key], 0, 1));
  });
}

// The reader's prediction: a height for each column that was drawn

/** Heights of all columns, straight between those that were drawn and level beyond. */
function completed(drawn) {
  const known = [...drawn.keys()].filter((k) => drawn[k] !== null);
  return drawn.map((_, k) => {
    const after = known.find((other) => other >= k) ?? known[known.length - 1];
    const before = known.findLast((other) => other <= k) ?? after;
    if (after <= before) return drawn[before];
    return drawn[before] + ((drawn[after] - drawn[before]) * (k - before)) / (after - before);
  });
}

/** Heights of a curve in the same columns, cut off at the frame. */
function columns(x, y) {
  const at = x.map((number) => COLUMNS * share(across, number));
  return Array.from({ length: COLUMNS + 1 }, (_, k) => {
    const j = clamp(at.findIndex((other) => other >= k - 1e-9), 1, x.length - 1);
    const ends = [j - 1, j].map((i) => clamp(share(up, y[i]), 0, 1));
    return ends[0] + ((ends[1] - ends[0]) * (k - at[j - 1])) / (at[j] - at[j - 1]);
  });
}

/** Mean distance from the curve, and that of the best level line, as parts of the frame. */
function score(drawn, curve) {
  const middle = curve.toSorted((a, b) => a - b)[COLUMNS / 2];
  const mean = (far) => curve.reduce((sum, height, k) => sum + far(height, k), 0) / curve.length;
  return {
    miss: mean((height, k) => Math.abs(height - drawn[k])),
    level: mean((height) => Math.abs(height - middle)),
  };
}

function prediction({ curve, legend }) {
  const paper = figure.querySelector(".paper"), button = figure.querySelector(".predict");
  const verdict = figure.querySelector(".verdict"), knots = [];
  const blank = () => new Array(COLUMNS + 1).fill(null);
  const LABELS = { idle: "Draw a prediction", drawing: "Compare", compared: "Clear my drawing" };
  let state = "idle", drawn = blank();
  paper.setAttribute("aria-label", `Your prediction: ${legend}`);
  paper.innerHTML = '<path/>';
  const xAt = (k) => across.start + ((across.stop - across.start) * k) / COLUMNS;
  const yAt = (height) => up.start + (up.stop - up.start) * height;

  for (let k = 0; k <= COLUMNS; k += KNOT) {
    const knot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    const ends = { "aria-valuemin": decimal(up.low), "aria-valuemax": decimal(up.high), "aria-orientation": "vertical" };
    const look = { role: "slider", tabindex: 0, r: 5, cx: xAt(k), ...ends };
    for (const [name, value] of Object.entries(look)) knot.setAttribute(name, value);
    knot.setAttribute("aria-label", `${legend} at ${written(numberAt(across, k, COLUMNS))}`);
    keys(knot, () => drawn[k] ?? 0.5, (to) => {
      drawn = drawn.map((height, other) => (Math.abs(other - k) < KNOT && other % KNOT ? null : height)).with(k, to);
      show();
    });
    knots.push([knot, k]);
    paper.append(knot);
  }
  const at = (event) => {
    const { x, y } = position(paper, event);
    const column = Math.round((COLUMNS * (x - across.start)) / (across.stop - across.start));
    return [clamp(column, 0, COLUMNS), clamp((y - up.start) / (up.stop - up.start), 0, 1)];
  };
  sweep(paper, at, (k, to) => { drawn[k] = to; }, show);

  function show() {
    const begun = drawn.some((height) => height !== null);
    const known = [...drawn.keys()].filter((k) => drawn[k] !== null);
    paper.firstChild.setAttribute("d", begun ? "M" + known.map((k) => `${xAt(k)} ${yAt(drawn[k])}`).join(" ") : "");
    const heights = begun ? completed(drawn) : drawn.map(() => 0.5);
    for (const [knot, k] of knots) {
      const value = numberAt(up, heights[k]);
      knot.setAttribute("cy", yAt(heights[k]));
      knot.setAttribute("aria-valuenow", decimal(value));
      knot.setAttribute("aria-valuetext", written(value));
    }
  }

  function enter(next) {
    state = next;
    if (state === "idle") drawn = blank();
    button.textContent = LABELS[state];
    figure.classList.toggle("predicting", state === "drawing");
    paper.toggleAttribute("hidden", state === "idle");
    paper.classList.toggle("done", state === "compared");
    knots.forEach(([knot]) => knot.toggleAttribute("hidden", state === "compared"));
    verdict.textContent = state === "drawing"
      ? `Move the handles to a setting that you have not seen. Then draw the curve “${legend}” with mouse or finger, or set its points with Tab and the arrow keys.`
      : "";
    show();
  }

  const percent = (part) => `${written(100 * part)}\u00a0%`.replace(/^(\d+[.]\d)\d*/, "$1");
  const judge = (curves) => {
    if (state !== "compared") return;
    const { miss, level } = score(completed(drawn), columns(data.x, curves[curve]));
    verdict.textContent = `Your curve is off by ${percent(miss)} of the height of the frame on average; the best level line by ${percent(level)}.`;
  };
  button.addEventListener("click", () => {
    if (state === "drawing" && drawn.every((height) => height === null)) {
      verdict.textContent = "Nothing is drawn yet.";
      return;
    }
    enter({ idle: "drawing", drawing: "compared", compared: "idle" }[state]);
    redraw();
  });
  enter("idle");
  return judge;
}

// Putting it together

const stops = Object.values(data.stops);
let judge = () => {};
const moving = all(".plot path.moving:not(.dots)"), measured = all(".plot path.moving.dots");
const handles = data.handles.map((handle) => (handle.steps ? range(handle) : bars(handle)));
const near = (stop) =>
  handles.every(({ name, shares }) => shares().every((at, k) => Math.abs(at - stop[name][k]) < NEAR));

function redraw() {
  const setting = { ...data.constants };
  for (const handle of handles) setting[handle.name] = handle.value();
  const answer = SOLVER(setting, data.x), curves = answer.filter(Array.isArray);
  if (data.follow) follow(curves);
  moving.forEach((path, k) => path.setAttribute("d", line(data.x, curves[k])));
  const here = stops.findIndex(near);
  measured.forEach((path, k) => {
    const { x, rows } = data.dots[k];
    path.setAttribute("d", here < 0 ? "" : dots(x, rows[here]));
  });
  const readings = answer.filter((part) => !Array.isArray(part));
  all("dd").forEach((reading, k) => { reading.textContent = written(readings[k]); });
  handles.forEach((handle) => handle.show());
  all(".stop").forEach((button, k) => button.setAttribute("aria-pressed", k === here));
  judge(curves);
}

all(".stop").forEach((button, k) => button.addEventListener("click", () => {
  for (const handle of handles) handle.move(stops[k][handle.name]);
  redraw();
}));
figure.querySelector(".actions").hidden = false;
if (data.predicted) judge = prediction(data.predicted);
redraw(); // a reloaded page may keep the handles where the reader left them

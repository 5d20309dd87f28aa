// A picture in three dimensions: projects its points at what the two handles say. See turn.py.
const figure = document.currentScript
  ? document.currentScript.closest("figure")
  : document.getElementById("FIGURE");
const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
const all = (selector) => [...figure.querySelectorAll(selector)];
const svg = figure.querySelector("svg.turn"), inputs = all("input"), buttons = all(".actions button");
const lines = all("svg.turn path.fixed"), words = all("svg.turn text.axis");
const polygons = all("svg.turn path.moving:not(.dots)"), corners = all("svg.turn path.dots");
const MIDDLE = [240, 160], SPEED = 0.6; // as in turn.py; degrees for each unit of a drag

const clamp = (number, low, high) => Math.min(Math.max(number, low), high);

function project([x, y, z]) {
  const [around, up] = inputs.map((input) => (Number(input.value) * Math.PI) / 180);
  const away = x * Math.cos(around) + y * Math.sin(around);
  const across = y * Math.cos(around) - x * Math.sin(around);
  const down = away * Math.sin(up) - z * Math.cos(up);
  return [MIDDLE[0] + across, MIDDLE[1] + down].map((c) => c.toFixed(1));
}

function redraw() {
  for (const input of inputs) {
    const text = `${input.value.replace("-", "−")}°`;
    input.setAttribute("aria-valuetext", text);
    input.parentNode.querySelector("output").textContent = text;
  }
  [0, 1, 2].forEach((k) => {
    const end = (size) => project([0, 1, 2].map((j) => (j === k ? size * data.arrow : 0)));
    lines[k].setAttribute("d", `M${end(-1).join(" ")} ${end(1).join(" ")}`);
    const [x, y] = end(1).map(Number), down = y - MIDDLE[1];
    words[k].setAttribute("x", x);
    words[k].setAttribute("y", y + (down >= 0 ? data.beside : -data.beside));
    words[k].setAttribute("visibility", Math.hypot(x - MIDDLE[0], down) >= data.short ? "visible" : "hidden");
  });
  data.shapes.forEach((shape, k) => {
    const flat = shape.map((point) => project(point).join(" "));
    polygons[k].setAttribute("d", `M${flat.join(" ")}Z`);
    corners[k].setAttribute("d", flat.map((at) => `M${at}h0`).join(""));
  });
  const now = inputs.map((input) => Number(input.value));
  buttons.forEach((button, k) => {
    button.setAttribute("aria-pressed", data.views[k].every((angle, j) => angle === now[j]));
  });
}

function look(view) {
  const [turned, lifted] = view;
  inputs[0].value = ((((turned + 180) % 360) + 360) % 360) - 180; // once around and on
  inputs[1].value = clamp(lifted, -90, 90);
  redraw();
}

let last = null; // where the pointer went down, and the view at that time
svg.addEventListener("pointerdown", (event) => {
  if (!event.isPrimary || event.button !== 0) return; // a second finger, a menu
  svg.setPointerCapture(event.pointerId);
  last = { x: event.clientX, y: event.clientY, view: inputs.map((input) => Number(input.value)) };
});
svg.addEventListener("pointermove", (event) => {
  if (last === null || !event.isPrimary) return;
  const unit = (SPEED * 480) / svg.getBoundingClientRect().width;
  const [turned, lifted] = last.view;
  look([turned - unit * (event.clientX - last.x), lifted + unit * (event.clientY - last.y)].map(Math.round));
});
for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { last = null; });
inputs.forEach((input) => input.addEventListener("input", redraw));
buttons.forEach((button, k) => button.addEventListener("click", () => look(data.views[k])));
figure.querySelector(".actions").hidden = false;
redraw(); // a reloaded page may keep the handles where the reader left them

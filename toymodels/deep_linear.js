// The twin of deep_linear.py for figures that one moves: learned strengths of balanced networks of
// any depth, and of two unbalanced layers.

/** Strength u(t) of each mode of the target from u(0) = start; then its half-times. */
function stages({ target, depth, start }, t) {
  const mode = (s) => clock(s, start, depth);
  return [...target.map((s) => mode(s).strengths(t)), ...target.map((s) => mode(s).half())];
}

/** du/dt = L u^(2-2/L) (s - u), with strengths at increasing times and the time of s / 2. */
function clock(s, start, depth) {
  if (depth === 1) {
    return {
      strengths: (t) => t.map((time) => s - (s - start) * Math.exp(-time)),
      half: () => Math.log((2 * (s - start)) / s),
    };
  }
  return delayed(s, s / start - 1, depth);
}

/** In y with u = s / (1 + m exp(-y)), m = s / u(0) - 1, it is dy/dt = L s^(2-2/L) (u / s)^(1-2/L). */
function delayed(s, m, depth) {
  const speed = depth * s ** (2 - 2 / depth), power = 1 - 2 / depth;
  const slowness = (y) => (1 + m * Math.exp(-y)) ** power / speed; // dt/dy, smooth
  const share = (y) => 1 / (1 + m * Math.exp(-y));
  const straight = Math.log(m) + 40; // from here on dt/dy is 1 / speed

  function strengths(t) {
    let y = 0, passed = 0; // the time at y
    return t.map((time) => {
      let panel = gauss(slowness, y, y + 1);
      while (y < straight && passed + panel <= time) {
        [y, passed] = [y + 1, passed + panel];
        panel = gauss(slowness, y, y + 1);
      }
      return s * share(y + crossing(slowness, y, time - passed));
    });
  }
  function half() {
    const end = Math.log(m), panels = Math.ceil(Math.abs(end)) || 1;
    let time = 0;
    for (let k = 0; k < panels; k++) time += gauss(slowness, (end * k) / panels, (end * (k + 1)) / panels);
    return time;
  }
  return { strengths, half };
}

/** How far beyond y the integral of f from y reaches the value wanted: Newton's method. */
function crossing(f, y, wanted) {
  let way = wanted / f(y);
  for (let k = 0; k < 20; k++) {
    const move = (wanted - gauss(f, y, y + way)) / f(y + way);
    way += move;
    if (Math.abs(move) < 1e-14 * (1 + way)) break;
  }
  return way;
}

/** Integral by Gauss-Legendre quadrature with ten nodes. */
function gauss(f, from, to) {
  const nodes = [0.1488743389816312, 0.4333953941292472, 0.6794095682990244, 0.8650633666889845, 0.9739065285171717];
  const weights = [0.2955242247147529, 0.2692667193099963, 0.219086362515982, 0.1494513491505806, 0.0666713443086881];
  const middle = (from + to) / 2, half = (to - from) / 2;
  return half * nodes.reduce((sum, x, k) => sum + weights[k] * (f(middle - half * x) + f(middle + half * x)), 0);
}

/** Two layers with imbalance c = |a^2 - b^2|: z = 2u + sqrt(c^2 + 4u^2) solves a Riccati equation. */
function unbalanced({ target, imbalance: c, start }, t) {
  return target.map((s) => {
    const k = Math.hypot(c, 2 * s), top = 2 * s + k, bottom = (-c * c) / (2 * s + k);
    const z0 = 2 * start + Math.hypot(c, 2 * start);
    return t.map((time) => {
      const above = (z0 - top) * Math.exp(-k * time), below = z0 - bottom;
      const z = (top * below - bottom * above) / (below - above);
      return (z - (c * c) / z) / 4;
    });
  });
}

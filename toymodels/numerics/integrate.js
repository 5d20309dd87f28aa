// The twin of integrate.py for figures that one moves: one small system, adaptive steps.

const NODES = [1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1];
const STAGES = [ // Dormand & Prince (1980), orders 5 and 4; the last stage is the next first
  [1 / 5],
  [3 / 40, 9 / 40],
  [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
  [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
];
const ERROR = [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40];

/** States y of dy/dt = rate(t, y) at increasing times >= 0, from y(0) = start. */
function integrate(rate, start, times, { rtol = 1e-9, atol = 1e-12 } = {}) {
  let t = 0, y = start, slope = rate(0, y), step = 1e-3;
  return times.map((time) => {
    while (t < time) {
      const last = t + step >= time, h = last ? time - t : step;
      const tried = attempt(rate, t, y, slope, h);
      const far = Math.hypot(...tried.error.map((e, i) =>
        e / (atol + rtol * Math.max(Math.abs(y[i]), Math.abs(tried.y[i]))))) / Math.sqrt(y.length);
      const factor = Math.min(5, Math.max(0.2, 0.9 * far ** -0.2));
      if (far <= 1) {
        t = last ? time : t + h;
        ({ y, slope } = tried);
        step = last ? Math.max(step, h * factor) : h * factor;
      } else {
        step = h * factor;
      }
    }
    return y;
  });
}

/** One step of length h: the new state, its slope, and the difference of the two orders. */
function attempt(rate, t, y, slope, h) {
  const slopes = [slope];
  let next = y;
  STAGES.forEach((weights, stage) => {
    next = y.map((value, i) => value + h * sum(weights, slopes, i));
    slopes.push(rate(t + NODES[stage] * h, next));
  });
  return { y: next, slope: slopes[6], error: y.map((_, i) => h * sum(ERROR, slopes, i)) };
}

function sum(weights, slopes, i) {
  let total = 0;
  for (let k = 0; k < weights.length; k++) total += weights[k] * slopes[k][i];
  return total;
}

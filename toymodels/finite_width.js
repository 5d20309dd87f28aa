// The twin of finite_width.py for figures that one moves: log-normal norms of leaky ReLU networks.

/** Typical metric and bounds of one network in forty at each depth; nu, nu r, the end. */
function walk({ width, slope, layers }, depth) {
  const n = Math.round(width), [mean, variance] = logStep(n, slope);
  const at = (deviations) => depth.map((L) =>
    Math.exp(L * mean + deviations * Math.sqrt(L * variance)));
  const nu = (6 * (1 + slope ** 4)) / (1 + slope ** 2) ** 2 - 1, last = layers - 1;
  const end = Math.exp(last * mean);
  return [at(0), at(1.96), at(-1.96), nu, (nu * last) / n, end];
}

/** Mean and variance of log X, X the mean of C_W s(g)^2 over n units: T is exponential of rate X. */
function logStep(n, slope) {
  const scale = 2 / (1 + slope ** 2), sides = [scale, scale * slope ** 2];
  const half = (term) => (term(sides[0]) + term(sides[1])) / 2;
  let total = 0, first = 0, second = 0;
  for (let k = 0; k < 2600; k++) {
    const y = -60 + 0.1 * k, t = Math.exp(y);
    const silent = half((p) => 1 / Math.sqrt(1 + (2 * p * t) / n)) ** (n - 1);
    const share = silent * half((p) => p * t * (1 + (2 * p * t) / n) ** -1.5);
    total += share;
    first += share * y;
    second += share * y * y;
  }
  const mean = first / total;
  return [-0.5772156649015329 - mean, second / total - mean * mean - Math.PI ** 2 / 6];
}

// The twin of tree.py for figures that one moves: gradient flow on a single path, from a balanced
// start with readouts in proportion to their targets.

/** Coefficient of each rung at increasing times; then the times at which each is half learned, NaN
 *  if that is later than the last one. */
function climb({ target, start }, t) {
  const asleep = balanced(target.map((beta) => start * beta));
  const states = grown(target, asleep, t), path = states.map(coefficients);
  const half = target.map((beta, k) => {
    const i = path.findIndex((c) => c[k] >= beta / 2);
    if (beta === 0 || i < 0) return NaN;
    const [time, before] = i > 0 ? [t[i - 1], states[i - 1]] : [0, asleep];
    return time + crossing(target, before, k, beta / 2);
  });
  return [...target.map((_, k) => path.map((c) => c[k])), ...half];
}

/** States at increasing times. Once all is learned nothing moves, and nothing is integrated. */
function grown(target, y, t) {
  const states = [], PIECE = 10, rate = (_, at) => flow(target, at);
  for (let k = 0, now = 0; k < t.length; k += PIECE) {
    const times = t.slice(k, k + PIECE), c = coefficients(y);
    const learned = target.every((beta, j) => Math.abs(beta - c[j]) < 1e-7);
    const on = learned ? times.map(() => y) : integrate(rate, y, times.map((time) => time - now));
    states.push(...on);
    [y, now] = [on[on.length - 1], times[times.length - 1]];
  }
  return states;
}

/** Readouts a, then weights u with u_k^2 = a_k^2 + u_(k+1)^2. */
function balanced(a) {
  return [...a, ...a.map((_, k) => Math.hypot(...a.slice(k)))];
}

/** c_k = a_k P_k, where P_k is the product of the first k weights. */
function coefficients(y) {
  const rungs = y.length / 2, c = [];
  for (let k = 0, P = 1; k < rungs; k++) c.push(y[k] * (P *= y[rungs + k]));
  return c;
}

/** da_k/dt = (beta_k - c_k) P_k, and du_k/dt by walking back, which divides by no weight. */
function flow(target, y) {
  const rungs = target.length, P = [1], rate = new Array(2 * rungs);
  for (let k = 0; k < rungs; k++) P.push(P[k] * y[rungs + k]);
  for (let k = rungs - 1, pull = 0; k >= 0; k--) {
    const left = target[k] - y[k] * P[k + 1];
    pull += left * y[k];
    rate[k] = left * P[k + 1];
    rate[rungs + k] = pull * P[k];
    pull *= y[rungs + k];
  }
  return rate;
}

/** Time that c_k takes from the state y to a level above, with c_k itself as the clock. */
function crossing(target, y, k, level) {
  const missing = level - coefficients(y)[k], rungs = target.length;
  const pace = (_, [, ...at]) => {
    const rate = flow(target, at), c = coefficients(at)[k];
    let rise = (rate[k] * c) / at[k];
    for (let e = 0; e <= k; e++) rise += (rate[rungs + e] * c) / at[rungs + e];
    return [1, ...rate].map((speed) => (speed * missing) / rise);
  };
  return integrate(pace, [0, ...y], [1])[0][0];
}

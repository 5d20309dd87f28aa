// The twin of residual_depth.py for figures that one moves: infinite width, one sample, K_x = y = 1.

/** Predictions of several depths at the steps k, their tangent kernels before training, and how far
 *  the last predictions lie apart. */
function depths({ exponent, branch, richness, step, depth }, k) {
  const paths = depth.map((L) => marched(L, branch, exponent, richness, step, k.length));
  const starts = depth.map((L) => {
    const growth = 1 + (branch / L ** exponent) ** 2;
    return growth ** (L - 1) * (2 * growth + branch * branch);
  });
  const last = paths.map((path) => path[path.length - 1]);
  return [...paths, Math.max(...last) - Math.min(...last), starts[0], starts[starts.length - 1]];
}

/** Predictions at the first n steps. A neuron is a row of weights on u^0, w, u^l(t), r^l(t). */
function marched(L, branch, exponent, richness, step, n) {
  const c = branch / L ** exponent, inner = branch * branch / L, sources = 2 + 2 * L * n;
  const fields = () => Array.from({ length: L + 1 }, () => []);
  const h = fields(), g = fields(), H = fields(), G = fields(), force = [], prediction = [];
  const u = (l, t) => 2 + l * n + t, r = (l, t) => 2 + (L + l) * n + t;
  const covariance = (row, other, t) => {
    let sum = row[0] * other[0] + row[1] * other[1];
    for (let l = 0; l < L; l++) {
      for (let s = 0; s <= t; s++) {
        const a = row[u(l, s)], b = row[r(l, s)];
        if (a) for (let q = 0; q <= t; q++) sum += a * kernel(H[l], s, q) * other[u(l, q)];
        if (b) for (let q = 0; q <= t; q++) sum += b * kernel(G[l + 1], s, q) * other[r(l, q)];
      }
    }
    return sum;
  };
  const note = (known, field, t) => known.push(field.map((other) => covariance(field[t], other, t)));
  const add = (row, pushes, past) => pushes.forEach((push, s) => {
    for (let k = 0; k < sources; k++) row[k] += push * past[s][k];
  });
  for (let t = 0; t < n; t++) {
    const first = new Float64Array(sources), top = new Float64Array(sources);
    first[0] = top[1] = 1;
    add(first, force, g[0]);
    h[0].push(first);
    note(H[0], h[0], t);
    for (let l = 0; l < L; l++) {
      const row = Float64Array.from(h[l][t]);
      add(row, force.map((e, s) => c * h[l][t][r(l, s)] + inner * e * H[l][t][s]), g[l + 1]);
      row[u(l, t)] += c;
      h[l + 1].push(row);
      note(H[l + 1], h[l + 1], t);
    }
    add(top, force, h[L]);
    g[L].push(top);
    note(G[L], g[L], t);
    for (let l = L - 1; l >= 0; l--) {
      const row = Float64Array.from(g[l + 1][t]);
      add(row, force.map((e, s) => c * g[l + 1][t][u(l, s)] + inner * e * G[l + 1][t][s]), h[l]);
      row[r(l, t)] += c;
      g[l].push(row);
      note(G[l], g[l], t);
    }
    prediction.push(covariance(g[L][t], h[L][t], t) / richness);
    force.push(step * richness * (1 - prediction[t]));
  }
  return prediction;
}

/** A symmetric matrix of which the rows up to the diagonal are kept; 0 where it is not known yet. */
function kernel(rows, s, q) {
  const row = rows[Math.max(s, q)];
  return row ? row[Math.min(s, q)] : 0;
}

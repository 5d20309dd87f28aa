// The twin of sgd_features.py for a figure that one moves: batches against each other at equal cost.

/** Losses for batches of 1, of ``batch`` and of 256 after x samples; edge, plateau, best batch. */
function race({ step, batch, noise, decay }, x) {
  const modes = Array.from({ length: 60 }, (_, k) => k + 1), m = Math.round(batch);
  const lam = modes.map((k) => k ** -decay), share = modes.map((k) => k ** -2);
  const all = share.reduce((sum, part) => sum + part, 0);
  const start = share.map((part) => part / all), most = x[x.length - 1];
  const curve = (size) => {
    const line = lossCurve(lam, start, step, size, noise, Math.floor(most / size));
    return x.map((seen) => Math.min(line[Math.floor(seen / size)], 1e6));
  };
  const Q = (eta) => lam.reduce((sum, l) => sum + ((eta / m) * l) / (2 - (1 + 1 / m) * eta * l), 0);
  const stable = step * lam[0] * (1 + 1 / m) < 2 && Q(step) < 1;
  const level = stable ? Math.min((noise * Q(step)) / (1 - Q(step)), 1e6) : 1e6;
  return [curve(1), curve(m), curve(256), edge(Q, 2 / (lam[0] * (1 + 1 / m))), level,
    bestBatch(lam, start, step, noise, most)];
}

/** Mean loss after 0 ... steps steps. */
function lossCurve(lam, start, step, size, noise, steps) {
  const gain = lam.map((l) => (step * l) ** 2 / size);
  const keep = lam.map((l, k) => (1 - step * l) ** 2 + gain[k]), e = start.slice(), found = [];
  for (let t = 0; t <= steps; t++) {
    let loss = 0;
    for (let k = 0; k < e.length; k++) loss += e[k];
    found.push(Number.isNaN(loss) ? Infinity : loss);
    for (let k = 0; k < e.length; k++) e[k] = keep[k] * e[k] + gain[k] * (loss + noise);
  }
  return found;
}

/** The root of Q = 1 below the pole of Q, by bisection. */
function edge(Q, pole) {
  let [low, high] = [0, pole];
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    if (Q(middle) < 1) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The batch size with the least loss after ``samples`` samples; ties go to the smaller one. */
function bestBatch(lam, start, step, noise, samples) {
  let best = [Infinity, 1];
  const sizes = new Set();
  for (let m = 1; m <= samples; m++) sizes.add(Math.floor(samples / m));
  for (const m of [...sizes].sort((a, b) => a - b)) {
    const loss = lossCurve(lam, start, step, m, noise, Math.floor(samples / m)).pop();
    if (loss < best[0]) best = [loss, m];
  }
  return best[1];
}

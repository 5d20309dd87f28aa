// The twin of scaling_laws.py for figures that one moves: power laws in shells, infinite data.

/** Loss of each width at the compute C = width x time, the best of all, and exponents. */
function frontier({ source, capacity, widths, shown, modes, ratio, nodes }, compute) {
  const shells = powerLawShells(source, capacity, modes, ratio);
  const contour = talbot(nodes);
  const losses = widths.map((N) => compute.map((C) => freshLoss(shells, N, C / N, contour)));
  const best = compute.map((_, k) => Math.min(...losses.map((row) => row[k])));
  const last = compute.length - 1, half = last >> 1;
  const slope = Math.log(best[half] / best[last]) / Math.log(compute[last] / compute[half]);
  const hard = source - 1 < capacity;
  const law = hard ? (source - 1) / (1 + capacity) : (source - 1) / source;
  const share = hard ? 1 / (1 + capacity) : 1 - capacity / source;
  return [...shown.map((k) => losses[k]), best, slope, law, share];
}

/** lam, m lam and m lam w^2 of modes k^-capacity and k^-source, in shells. */
function powerLawShells(source, capacity, modes, ratio) {
  const edge = [0];
  while (edge[edge.length - 1] < modes) {
    const at = edge[edge.length - 1];
    edge.push(Math.min(Math.max(at + 1, Math.floor(ratio * at)), modes));
  }
  const count = edge.slice(1).map((last, j) => last - edge[j]);
  const summed = (exponent) => count.map((m, j) => {
    if (m === 1) return edge[j + 1] ** -exponent;
    const low = edge[j] + 0.5, high = edge[j + 1] + 0.5;
    return (low ** (1 - exponent) - high ** (1 - exponent)) / (exponent - 1);
  });
  const load = summed(capacity);
  return { lam: load.map((x, j) => x / count[j]), load, power: summed(source) };
}

/** Nodes z and weights for time one in one half plane, from the real axis outward. */
function talbot(nodes) {
  const found = [];
  for (let j = nodes / 2 - 1; j >= 0; j--) {
    const angle = Math.PI * ((2 * j + 1) / nodes - 1), inner = 0.6407 * angle;
    const cot = 1 / Math.tan(inner);
    const x = nodes * (0.5017 * angle * cot - 0.6122), y = nodes * 0.2645 * angle;
    const slopeX = 0.5017 * (cot - inner / Math.sin(inner) ** 2), slopeY = 0.2645;
    const size = Math.exp(x), c = size * Math.cos(y), s = size * Math.sin(y);
    // exp(z) slope / i, doubled for the other half plane
    found.push({ z: [x, y], weight: [2 * (c * slopeY + s * slopeX), 2 * (s * slopeY - c * slopeX)] });
  }
  return found;
}

/** sum m lam w^2 H(2t), the loss of a network of width N after a time t. */
function freshLoss(shells, N, t, contour) {
  const T = 2 * t;
  let at = [Math.hypot(...contour[0].z) / T, 0];
  let kappa = [realKappa(shells, N, at[0]), 0], loss = 0;
  for (const { z, weight } of contour) {
    const node = [z[0] / T, z[1] / T];
    const slope = turned(shells, N, kappa).slope;
    kappa = times(kappa, exp(over(log(over(node, at)), slope)));
    let sums = turned(shells, N, kappa);
    for (let k = 0; k < 8; k++) {
      const move = over(log(over(node, sums.ridge)), sums.slope);
      kappa = times(kappa, exp(move));
      sums = turned(shells, N, kappa);
      if (Math.hypot(...move) < 1e-13) break;
    }
    const value = times(weight, times(over(kappa, node), sums.missed));
    loss += value[0] / T;
    at = node;
  }
  return loss;
}

/** z = kappa (1 - sum L / N), d log z / d log kappa, and sum m lam w^2 / (lam + kappa). */
function turned({ lam, load, power }, N, [a, b]) {
  let spentX = 0, spentY = 0, turnX = 0, turnY = 0, missedX = 0, missedY = 0;
  for (let k = 0; k < lam.length; k++) {
    const re = lam[k] + a, size = re * re + b * b, x = re / size, y = -b / size;
    spentX += load[k] * x;
    spentY += load[k] * y;
    turnX += load[k] * (x * x - y * y);
    turnY += load[k] * 2 * x * y;
    missedX += power[k] * x;
    missedY += power[k] * y;
  }
  const left = [1 - spentX / N, -spentY / N];
  const steep = over(times([a, b], [turnX / N, turnY / N]), left);
  return {
    ridge: times([a, b], left), slope: [1 + steep[0], steep[1]], missed: [missedX, missedY],
  };
}

/** kappa at a real z > 0, by bisection of its logarithm. */
function realKappa({ lam, load }, N, z) {
  const total = load.reduce((sum, x) => sum + x, 0);
  let low = Math.log(z), high = Math.log(z + total / N);
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2, kappa = Math.exp(middle);
    let spent = 0;
    for (let j = 0; j < lam.length; j++) spent += load[j] / (lam[j] + kappa);
    if (kappa * (1 - spent / N) < z) low = middle;
    else high = middle;
  }
  return Math.exp(high);
}

function times([a, b], [c, d]) {
  return [a * c - b * d, a * d + b * c];
}

function over([a, b], [c, d]) {
  const size = c * c + d * d;
  return [(a * c + b * d) / size, (b * c - a * d) / size];
}

function log([a, b]) {
  return [Math.log(Math.hypot(a, b)), Math.atan2(b, a)];
}

function exp([a, b]) {
  const size = Math.exp(a);
  return [size * Math.cos(b), size * Math.sin(b)];
}

// The twin of temporal_difference.py for figures that one moves: mean value error of a walker that
// diffuses on a circle and sees waves of variance 1 / k, with a memory exp(-speed k^2).

const TIMES = 5; // updates in an episode

/** Value error with a constant step, with a step that falls, its plateau as a line, and as a number. */
function valueError({ reward, speed, discount, step, batch }, updates) {
  const modes = reward.map((paid, n) => {
    const k = n + 1, memory = Math.exp(-speed * k * k), kept = 1 - discount * memory;
    return { paid, power: TIMES / k, pull: (TIMES / k) * kept, target: paid / kept, ...sums(memory, k) };
  });
  const scatter = updateVariance(modes, discount);
  const curve = (factor) => {
    let m = modes.map((mode) => -mode.target), e = m.map((x) => x * x);
    return updates.map((n) => {
      const loss = dot(modes.map((mode) => mode.power), e), rate = step * factor(n);
      const V = scatter(e, m);
      e = e.map((x, k) => (1 - rate * modes[k].pull) ** 2 * x + ((rate * rate) / batch) * V[k]);
      m = m.map((x, k) => (1 - rate * modes[k].pull) * x);
      return loss;
    });
  };
  const rest = plateau(modes, scatter, step, batch);
  return [curve(() => 1), curve((n) => 1 / (1 + n / 25)), updates.map(() => rest), rest];
}

const dot = (x, y) => x.reduce((sum, value, k) => sum + value * y[k], 0);

/** Covariances of a mode at two times: now, with one of them one later, and both one later. */
function sums(memory, k) {
  const times = [...Array(TIMES).keys()];
  const table = (shift) => times.map((t) => times.map((s) => memory ** Math.abs(t - s - shift) / k));
  return { now: table(0), late: table(1) };
}

const total = (x, y, flip) => x.reduce((sum, row, t) =>
  sum + row.reduce((part, value, s) => part + value * (flip ? y[s][t] : y[t][s]), 0), 0);

/** The variance of the update of one episode in each mode, given e = <d^2> and m = <d>. */
function updateVariance(modes, discount) {
  const tables = modes.map((one, k) => modes.map((other, l) => {
    const own = k === l ? 1 : 0; // the pairing of each feature with the error of the other time
    const same = total(one.now, other.now, false), cross = discount * total(one.now, other.late, false);
    const later = discount ** 2 * same; // stationary: both one later is as both now
    return {
      rr: same + own * total(one.now, one.now, true),
      rw: 2 * cross + own * 2 * discount * total(one.now, one.late, true),
      ww: later + own * discount ** 2 * total(one.late, one.late, true),
    };
  }));
  return (e, m) => tables.map((row) => row.reduce((sum, { rr, rw, ww }, l) => {
    const b = modes[l].target, a = modes[l].paid - b;
    return sum + rr * (a * a - 2 * a * m[l] + e[l]) + rw * (a * b + (a - b) * m[l] - e[l])
      + ww * (b * b + 2 * b * m[l] + e[l]);
  }, 0));
}

/** The loss that an update leaves as it is, from a linear system for e. */
function plateau(modes, scatter, step, batch) {
  const zero = modes.map(() => 0), share = (step * step) / batch, source = scatter(zero, zero);
  const rows = modes.map((mode, k) => modes.map((_, l) => {
    const unit = zero.map((x, n) => (n === l ? 1 : 0));
    return (k === l ? 1 - (1 - step * mode.pull) ** 2 : 0) - share * (scatter(unit, zero)[k] - source[k]);
  }));
  const e = solved(rows, source.map((x) => share * x));
  return dot(modes.map((mode) => mode.power), e);
}

/** The solution of a small linear system, by elimination with the largest pivot. */
function solved(rows, side) {
  const table = rows.map((row, k) => [...row, side[k]]), size = side.length;
  for (let k = 0; k < size; k++) {
    let best = k;
    for (let n = k + 1; n < size; n++) if (Math.abs(table[n][k]) > Math.abs(table[best][k])) best = n;
    [table[k], table[best]] = [table[best], table[k]];
    for (let n = k + 1; n < size; n++) {
      const factor = table[n][k] / table[k][k];
      for (let l = k; l <= size; l++) table[n][l] -= factor * table[k][l];
    }
  }
  const x = new Array(size).fill(0);
  for (let k = size - 1; k >= 0; k--) {
    x[k] = (table[k][size] - dot(table[k].slice(k + 1, size), x.slice(k + 1))) / table[k][k];
  }
  return x;
}

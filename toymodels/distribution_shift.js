// The twin of distribution_shift.py for figures that one moves: linear regression on groups of
// inputs, with a lecture and an exam that give every group a variance of its own.

/** Exam error after this lecture and after one like the exam, for each number of samples n; then
 * the ratio of the two at the last n. */
function lectures({ lecture, exam, size, ridge, noise }, n) {
  const total = sum(exam, (t, g) => size[g] * t), scale = total / sum(lecture, (s, g) => size[g] * s);
  const chosen = lecture.map((s) => s * scale); // a lecture has as much variance as the exam
  const curves = [chosen, exam].map((train) =>
    n.map((samples) => examError(train, exam, size, total, ridge, noise, samples)));
  return [...curves, curves[0].at(-1) / curves[1].at(-1)];
}

/** Error on the exam; all weights of the target are equal, and the exam asks for power one. */
function examError(train, exam, size, total, ridge, noise, n) {
  const kappa = effectiveRidge(train, size, ridge, n), left = ridge / kappa;
  const L = train.map((s) => s / (s + kappa)), lost = train.map((s) => kappa / (s + kappa));
  const source = sum(train, (s, g) => (size[g] * s * lost[g] ** 2) / total) + noise;
  const spare = sum(train, (s, g) => size[g] * L[g] * lost[g]) + left; // n - sum L^2
  const missed = sum(exam, (t, g) => (size[g] * t * lost[g] ** 2) / total);
  const spread = sum(exam, (t, g) => (size[g] * t * L[g] ** 2) / train[g]);
  return missed + (source / spare) * spread;
}

/** kappa > 0 with n = sum of s / (s + kappa) + ridge / kappa, by bisection of its logarithm. */
function effectiveRidge(train, size, ridge, n) {
  const rank = sum(size, (m) => m);
  const tooSmall = (kappa) => {
    if (n < rank) return sum(train, (s, g) => (size[g] * s) / (s + kappa)) + ridge / kappa > n;
    // the sum would cancel n: count what is not learned instead
    return ridge > kappa * (n - rank + sum(train, (s, g) => (size[g] * kappa) / (s + kappa)));
  };
  const trace = sum(train, (s, g) => size[g] * s);
  let [low, high] = [Math.log(ridge / n), Math.log((trace + ridge) / n)];
  for (let k = 0; k < 100; k++) {
    const middle = (low + high) / 2;
    if (tooSmall(Math.exp(middle))) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}

function sum(list, term) {
  return list.reduce((all, value, k) => all + term(value, k), 0);
}

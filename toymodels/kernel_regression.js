// The twin of kernel_regression.py for figures that one moves: learning curves of a spectrum in
// shells of equal eigenvalues, with a positive ridge.

/** Error and training error for each number of samples n. */
function learningCurves({ eigenvalue, degeneracy, target, ridge, noise }, n) {
  const points = n.map((samples) => {
    const kappa = effectiveRidge(eigenvalue, degeneracy, ridge, samples), left = ridge / kappa;
    const learned = eigenvalue.map((lam) => lam / (lam + kappa));
    const lost = eigenvalue.map((lam) => kappa / (lam + kappa));
    const unlearned = total((k) => lost[k] ** 2 * target[k] ** 2);
    const stiffness = total((k) => degeneracy[k] * learned[k] * lost[k]) + left; // n - sum m L^2
    const fresh = (samples * (unlearned + noise)) / stiffness; // error on noisy labels
    const error = unlearned + (total((k) => degeneracy[k] * learned[k] ** 2) * fresh) / samples;
    return [error, (left / samples) ** 2 * fresh];
  });
  function total(term) {
    return eigenvalue.reduce((sum, _, k) => sum + term(k), 0);
  }
  return [points.map((point) => point[0]), points.map((point) => point[1])];
}

/** kappa > 0 with n = sum m lam / (lam + kappa) + ridge / kappa, by bisection of its logarithm. */
function effectiveRidge(eigenvalue, degeneracy, ridge, n) {
  const sum = (term) => eigenvalue.reduce((all, lam, k) => all + degeneracy[k] * term(lam), 0);
  const rank = sum(() => 1);
  const tooSmall = (kappa) => {
    if (n < rank) return sum((lam) => lam / (lam + kappa)) + ridge / kappa > n;
    // sum m L would cancel n: count what is not learned instead
    return ridge > kappa * (n - rank + sum((lam) => kappa / (lam + kappa)));
  };
  let [low, high] = [Math.log(ridge / n), Math.log((sum((lam) => lam) + ridge) / n)];
  for (let k = 0; k < 100; k++) {
    const middle = (low + high) / 2;
    if (tooSmall(Math.exp(middle))) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}

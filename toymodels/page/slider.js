// Draws the row of precomputed paths that the slider points at. The first row is in the page already.
(() => {
  const figure = document.currentScript
    ? document.currentScript.closest("figure")
    : document.getElementById("FIGURE");
  const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const slider = figure.querySelector("input");
  const moving = figure.querySelectorAll("path.moving");

  const show = () => {
    const row = Number(slider.value);
    figure.querySelector("output").textContent = data.values[row];
    slider.setAttribute("aria-valuetext", data.values[row]);
    moving.forEach((path, k) => path.setAttribute("d", data.paths[k][row]));
  };
  slider.addEventListener("input", show);
  show(); // a reloaded page may keep the slider where the reader left it
})();

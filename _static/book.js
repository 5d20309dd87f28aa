// Paper is white: a page that is printed from the dark theme is printed in the light one.
(() => {
  const page = document.documentElement;
  let theme;
  addEventListener("beforeprint", () => {
    theme = page.dataset.theme;
    page.dataset.theme = "light";
  });
  addEventListener("afterprint", () => {
    page.dataset.theme = theme;
  });
})();

// Whatever scrolls can be reached by keyboard: figures, code, outputs, tables. The theme looks at the last three
// when the window changes; but code is also folded away, a phone is turned, a page is printed and shown again.
addEventListener("DOMContentLoaded", () => {
  const boxes = document.querySelectorAll(
    "main :is(figure, pre, .cell_output > .output, .pst-scrollable-table-container)"
  );
  const scrolls = (box) =>
    box.scrollWidth > box.clientWidth ||
    (box.scrollHeight > box.clientHeight && getComputedStyle(box).overflowY !== "hidden");
  const reach = () => {
    for (const box of boxes) {
      if (scrolls(box)) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  const sizes = new ResizeObserver(reach);
  boxes.forEach((box) => sizes.observe(box));
  document.fonts.ready.then(reach);
  matchMedia("print").addEventListener("change", reach);
  addEventListener("load", reach);
});


// The arrow beside a chapter with pages below it says nothing to whoever cannot see it.
addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll("nav li.has-children > details > summary")) {
    const chapter = arrow.closest("li").querySelector("a").textContent.trim();
    arrow.setAttribute("aria-label", `pages below ${chapter}`);
  }
});

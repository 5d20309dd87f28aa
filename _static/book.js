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

// A figure that scrolls, as on a phone, can be reached by keyboard. The theme does so for code and tables.
(() => {
  const reach = () => {
    for (const figure of document.querySelectorAll("main figure")) {
      if (figure.scrollWidth > figure.clientWidth) figure.tabIndex = 0;
      else figure.removeAttribute("tabindex");
    }
  };
  addEventListener("load", reach);
  addEventListener("resize", reach);
})();

// So can wide code that was folded away: a change of size makes the theme and the lines above look again.
(() => {
  const look = () => dispatchEvent(new Event("resize"));
  document.addEventListener("toggle", look, true);
  document.addEventListener("click", (event) => event.target.closest(".toggle") && look());
})();
